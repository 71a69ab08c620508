"""Manifests of this node's jobs: sealed with the dataset's key, delivered as the policy asks."""

from dataclasses import dataclass
from pathlib import Path

from multicloud.errors import McError
from multicloud.v1 import records_pb2
from nodeagent.jobs.contract import Results, Written
from nodeagent.jobs.datasets.manifest import Delivering, write_manifest
from nodeagent.jobs.plane_world import JobWorld
from nodeagent.jobs.steward_safety import ack_copies
from nodeagent.rpc.policies import policy_of
from nodeagent.store.keyring_council import CouncilKeyring
from nodeagent.wire.deliver import Deliverer


@dataclass(slots=True)
class DeliveredManifests:
    keyring: CouncilKeyring
    deliverer: Deliverer
    world: JobWorld
    folder: Path

    async def write(self, header: records_pb2.JobHeader, results: Results) -> Written:
        spec = header.spec
        policy = policy_of(spec.policy)
        domain = self.world.domain_of(self.world.own)
        if domain is None:
            raise McError("STARTING", "this node has not met itself yet", retry_after_s=1.0)
        sending = Delivering(
            self.deliverer,
            await self.keyring.key(header.key_id),
            policy,
            header.id,
            domain,
            ack_copies=ack_copies(spec),
        )
        head = records_pb2.ManifestHead(
            name=spec.dataset,
            version=header.version,
            job=header.id,
            source=spec.source,
            pipeline_toml=spec.pipeline_toml,
            chunk_size_bytes=spec.chunk_size_bytes,
            trace_one_in=header.trace_one_in,
        )
        written = await write_manifest(head, results(), sending, self.folder)
        return Written(written.chunks, written.head.files, written.head.bytes)
