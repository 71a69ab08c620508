"""The jobs of a real node: joined with its council, its members, its wire and its disks."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from multicloud.errors import McError
from multicloud.v1 import records_pb2
from nodeagent.config.model import Config
from nodeagent.core.chunk.keys import ClusterKey
from nodeagent.council.part import CouncilPart
from nodeagent.jobs.contract import Manifests, Results, Sources, Working, Written
from nodeagent.jobs.datasets.making import Datasets
from nodeagent.jobs.plane import JobPlane, Neighbours
from nodeagent.jobs.plane_manifests import DeliveredManifests
from nodeagent.jobs.plane_world import JobWorld
from nodeagent.jobs.sources.making import sources_part
from nodeagent.jobs.steward_safety import DeliveredSafety, Safety
from nodeagent.upkeep.making import NodeUpkeep
from nodeagent.wire.deliver import Deliverer


@dataclass(frozen=True, slots=True)
class JobParts:
    """Parts that take the place of the node's own; None: the node's own."""

    sources: Sources | None = None
    working: Working | None = None
    manifests: Manifests | None = None
    safety: Safety | None = None


class KeylessManifests:
    """A node without the cluster key can seal no manifest: another keeper has to end the job."""

    async def write(self, header: records_pb2.JobHeader, results: Results) -> Written:
        raise McError("KEY_MISSING", "this node has no cluster key and seals nothing")


def job_plane(
    part: CouncilPart,
    own: str,
    deliverer: Deliverer,
    folder: Path,
    cluster_key: bytes | None,
    parts: JobParts,
    config: Callable[[], Config],
    upkeep: NodeUpkeep,
) -> JobPlane:
    world = JobWorld(
        own, part.world.view, part.world.name_of, part.world.channel_to, part.volume_of
    )
    manifests: Manifests = KeylessManifests()
    keys = {1: ClusterKey(1, cluster_key)} if cluster_key is not None else {}
    if keys:
        manifests = DeliveredManifests(part.council, deliverer, world, keys, folder)
    datasets = Datasets(
        part.council, deliverer.ground, deliverer.client, deliverer.store, upkeep.members, keys
    )
    upkeep.also_named_by(datasets.roots)
    sources = sources_part(world, deliverer.ground.links, part.council, config)
    near = Neighbours(
        council=part.council,
        sources=parts.sources or sources.sources,
        sources_part=sources,
        working=parts.working,
        manifests=parts.manifests or manifests,
        safety=parts.safety or DeliveredSafety(deliverer, world),
        store=deliverer.store,
    )
    return JobPlane(world, near, folder, datasets)
