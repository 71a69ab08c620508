"""Manifests of this node's jobs: sealed with the dataset's key, delivered as the policy asks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from multicloud.errors import McError
from multicloud.v1 import records_pb2
from nodeagent.core.chunk.key_record import decode, unwrap
from nodeagent.core.chunk.keys import ClusterKey, DatasetKey
from nodeagent.core.delivery_words import ACK_COPIES_DEFAULT
from nodeagent.council.contract import Council
from nodeagent.jobs.contract import Results, Written
from nodeagent.jobs.datasets.manifest import Delivering, write_manifest
from nodeagent.jobs.plane_world import JobWorld
from nodeagent.rpc.policies import policy_of
from nodeagent.wire.deliver import Deliverer

KEYS = "key/"


@dataclass(slots=True)
class DeliveredManifests:
    council: Council
    deliverer: Deliverer
    world: JobWorld
    cluster_keys: Mapping[int, ClusterKey]  # By version.
    folder: Path

    async def write(self, header: records_pb2.JobHeader, results: Results) -> Written:
        spec = header.spec
        policy = policy_of(spec.policy)
        domain = self.world.domain_of(self.world.own)
        if domain is None:
            raise McError("STARTING", "this node has not met itself yet", retry_after_s=1.0)
        sending = Delivering(
            self.deliverer,
            await self._key(header.key_id),
            policy,
            header.id,
            domain,
            ack_copies=spec.policy.ack_copies or min(ACK_COPIES_DEFAULT, policy.replicas),
        )
        head = records_pb2.ManifestHead(
            name=spec.dataset,
            version=header.version,
            job=header.id,
            source=spec.source,
            pipeline_toml=spec.pipeline_toml,
        )
        written = await write_manifest(head, results(), sending, self.folder)
        return Written(written.chunks, written.head.files, written.head.bytes)

    async def _key(self, key_id: bytes) -> DatasetKey:
        register = await self.council.get(KEYS + key_id.hex())
        if not register.value:
            said = f"there is no key {key_id.hex()}: its dataset was shredded"
            raise McError("KEY_MISSING", said, facts={"key": key_id.hex()})
        record = decode(register.value, register.key)
        cluster_key = self.cluster_keys.get(record.cluster_key_version)
        if cluster_key is None:
            said = (
                f"the key {key_id.hex()} is wrapped by version {record.cluster_key_version} "
                "of the cluster key, which is not on this node"
            )
            raise McError("KEY_MISSING", said, facts={"key": key_id.hex()})
        return unwrap(record, cluster_key)
