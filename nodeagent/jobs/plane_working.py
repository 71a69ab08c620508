"""The worker of a real node: joined with its sources, its wire, its keys and its processes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from multicloud.v1 import records_pb2
from nodeagent.config.model import Config
from nodeagent.core.chunk.keys import DatasetKey
from nodeagent.core.delivery_words import Goal
from nodeagent.jobs.contract import Sources
from nodeagent.jobs.datasets.making import Datasets
from nodeagent.jobs.keepers import Keepers
from nodeagent.jobs.keeping import Keeping
from nodeagent.jobs.plane_world import JobWorld
from nodeagent.jobs.planning import pipeline_of
from nodeagent.jobs.steward_safety import ack_copies
from nodeagent.jobs.working.earlier import Earlier, Manifest
from nodeagent.jobs.working.holding import Holding
from nodeagent.jobs.working.room import Room
from nodeagent.jobs.working.sending import CarefulBrain
from nodeagent.jobs.working.tracing import Traces, Watcher
from nodeagent.jobs.working.worker import Worker, WorkerParts
from nodeagent.process.pool import Pool
from nodeagent.rpc.policies import policy_of
from nodeagent.store.keyring_council import CouncilKeyring
from nodeagent.wire.deliver import Deliverer


@dataclass(frozen=True, slots=True)
class WorkingMeans:
    world: JobWorld
    config: Callable[[], Config]
    sources: Sources
    deliverer: Deliverer
    keyring: CouncilKeyring
    keeping: Callable[[], Keeping]
    pool: Pool
    watcher: Watcher
    traces: Traces
    datasets: Datasets


def worker(means: WorkingMeans) -> Worker:
    """Without the cluster key it works on nothing, and says so."""
    brain = CarefulBrain(means.deliverer.brain, time.monotonic)
    deliverer = replace(means.deliverer, brain=brain)
    world, keyring = means.world, means.keyring

    def keepers(job: str, nodes: Sequence[str]) -> Keepers:
        return Keepers(job, nodes, world.own, means.keeping(), world.channel, world.rng)

    return Worker(
        WorkerParts(
            own=world.own,
            sources=means.sources,
            deliverer=deliverer,
            brain=brain,
            key_of=keyring.key if keyring.cluster_keys else None,
            keepers=keepers,
            pipelines=means.pool,
            pipeline_of=pipeline_of,
            python_path=lambda: [str(path) for path in means.config().process.python_path],
            room=Room(lambda: means.config().work),
            watcher=means.watcher,
            traces=means.traces,
            links=means.deliverer.ground.usage.now,
            rng=world.rng,
            earlier=lambda job, header, key: _earlier(means, deliverer, job, header(), key),
        )
    )


def _earlier(
    means: WorkingMeans,
    deliverer: Deliverer,
    job: str,
    header: records_pb2.JobHeader,
    key: DatasetKey,
) -> Earlier | None:
    spec, base = header.spec, header.base_version
    if not base:
        return None
    goal = Goal(policy_of(spec.policy), ack_copies(spec))

    async def opened() -> Manifest:
        return await means.datasets.reading.manifest(spec.dataset, base)

    holding = Holding(deliverer, means.world, job, goal)
    return Earlier(opened, holding, spec, pipeline_of(spec), key)
