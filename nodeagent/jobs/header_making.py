"""How a job is made: its request checked, a version reserved, a key had, keepers chosen, and all of
it decided as one header.
"""

import re
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

from coordinator.policy import PolicyImpossible, demand_possible
from multicloud.errors import FieldFault, McError
from multicloud.v1 import job_pb2, records_pb2
from nodeagent.core.chunk.key_record import NONCE_BYTES, wrap
from nodeagent.core.chunk.keys import KEY_BYTES, KEY_ID_BYTES, DatasetKey
from nodeagent.council.contract import Council
from nodeagent.jobs.datasets.versions import Versions
from nodeagent.jobs.following import deciding
from nodeagent.jobs.header import Header, Headers, new_id, request_digest
from nodeagent.jobs.plane_succession import KEEPERS, keepers_for
from nodeagent.jobs.plane_world import JobWorld
from nodeagent.jobs.planning import CHUNK_BYTES_DEFAULT
from nodeagent.jobs.sources.uris import parse
from nodeagent.rpc.policies import policy_of, refused
from nodeagent.store.keyring_council import CouncilKeyring
from nodeagent.wire.bucket_places import with_buckets

DATASETS = "dataset/"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
CHUNK_BYTES_MIN, CHUNK_BYTES_MAX = 64 << 10, 128 << 20
URI_CHARS_MAX, GLOBS_MAX, REQUEST_ID_CHARS_MAX = 4096, 256, 200


class Trace(Protocol):
    """The span that a job begins with."""

    @property
    def trace_id(self) -> str: ...
    @property
    def traceparent(self) -> str: ...


@dataclass(slots=True)
class Making:
    world: JobWorld
    council: Council
    headers: Headers
    keyring: CouncilKeyring
    check_pipeline: Callable[[str], Awaitable[object]]  # PIPELINE_INVALID with every fault.
    trace_one_in: Callable[[], int]

    async def check(self, spec: job_pb2.JobSpec) -> None:
        """BAD_REQUEST, PIPELINE_INVALID or POLICY_IMPOSSIBLE, before anything is decided."""
        faults = list(_faults(spec))
        if faults:
            raise McError("BAD_REQUEST", "this is no job", faults=faults)
        policy = policy_of(spec.policy)
        if spec.policy.ack_copies > policy.replicas:
            rule = f"{spec.policy.ack_copies} are more than the {policy.replicas} replicas"
            fault = FieldFault("spec.policy.ack_copies", rule)
            raise McError("BAD_REQUEST", "this is no job", faults=[fault])
        if spec.pipeline_toml:
            await self.check_pipeline(spec.pipeline_toml)
        try:
            demand_possible(policy, with_buckets(self.world.view()))
        except PolicyImpossible as impossible:
            raise refused(policy, impossible) from impossible

    async def make(
        self,
        request: job_pb2.CreateJobRequest,
        submitter: str,
        trace: Trace,
        planned: job_pb2.Cost,
    ) -> Header:
        """Decided when it returns. The same request made before is the same job."""
        digest = request_digest(request.spec)
        earlier = await self.headers.earlier(request.request_id, digest)
        if earlier is not None:
            return earlier
        spec = job_pb2.JobSpec()
        spec.CopyFrom(request.spec)
        spec.chunk_size_bytes = spec.chunk_size_bytes or CHUNK_BYTES_DEFAULT
        job = new_id()
        keepers = self._keepers(job, spec)
        version, key_id, base = 0, b"", ""
        if not spec.HasField("follow"):  # The batches of a standing job have versions; it has none.
            version, key_id = await self._reserve(spec.dataset)
            base = "" if spec.anew else await self._base(spec.dataset, version, key_id)
        return await self.headers.create(
            records_pb2.JobHeader(
                id=job,
                spec=spec,
                request_id=request.request_id,
                request_digest=digest,
                submitter=submitter,
                created_unix_ms=self.world.unix_ms(),
                keepers=keepers,
                steward=keepers[0].node,
                epoch=1,
                version=str(version) if version else "",
                key_id=key_id,
                trace_id=trace.trace_id,
                traceparent=trace.traceparent,
                trace_one_in=self.trace_one_in(),
                planned=planned,
                base_version=base,
            )
        )

    def _keepers(self, job: str, spec: job_pb2.JobSpec) -> list[records_pb2.Keeper]:
        """The first is the steward. A folder is best followed by the node that it is on."""
        view = self.world.view()
        live = [node for node in view.members if self.world.is_there(node)]
        fit = [n for n in live if (facts := view.members[n].facts) and not facts.draining]
        nodes = fit or live or [self.world.own]
        host = parse(spec.source).host if spec.HasField("follow") else ""
        first = [node for node in nodes if host and host in (node, self.world.name_of(node))]
        chosen = keepers_for(job, self.world, nodes)
        chosen = [*first, *(node for node in chosen if node not in first)][:KEEPERS]
        return [records_pb2.Keeper(node=n, volume=self.world.volume_of(n)) for n in chosen]

    async def _reserve(self, dataset: str) -> tuple[int, bytes]:
        """A number that nobody else has, and the key of the dataset."""
        while True:
            register = await self.council.get(DATASETS + dataset)
            record = records_pb2.DatasetRecord.FromString(register.value)
            record.name = dataset
            if not record.key_id or await self.keyring.find(record.key_id) is None:
                record.key_id = await self._new_key(dataset)
            record.last_version += 1
            decided = await self.council.compare_and_set(
                register.key, register.version, record.SerializeToString(), uuid4().hex
            )
            if decided.changed:
                return record.last_version, record.key_id

    async def _base(self, dataset: str, version: int, key_id: bytes) -> str:
        """The newest version that stands: what has not changed since is taken over from it."""
        versions = Versions(self.council)
        standing = [one for one in versions.of(dataset) if not one.removed_unix_ms]
        found = standing[-1] if standing else None
        if version > 1 and (found is None or int(found.version) < version - 1):
            with suppress(McError):  # It may have been decided just now; or it never stood.
                found = await versions.find(dataset, str(version - 1))
        return found.version if found is not None and found.key_id == key_id else ""

    async def _new_key(self, dataset: str) -> bytes:
        cluster_keys = self.keyring.cluster_keys
        if not cluster_keys:
            said = "this node only stores: it has no cluster key, and makes no dataset"
            raise McError("KEY_MISSING", said, next="ask another node, with --node")
        key = DatasetKey(secrets.token_bytes(KEY_ID_BYTES), secrets.token_bytes(KEY_BYTES))
        record = wrap(
            key,
            cluster_keys[max(cluster_keys)],
            dataset=dataset,
            created_unix_ms=self.world.unix_ms(),
            nonce=secrets.token_bytes(NONCE_BYTES),
        )
        await self.keyring.put(record, uuid4().hex)
        return key.id


def _faults(spec: job_pb2.JobSpec) -> Iterator[FieldFault]:
    if not NAME.fullmatch(spec.dataset):
        rule = "1 to 63 lower-case letters, digits, '.', '_', '-', not beginning with a sign"
        yield FieldFault("spec.dataset", rule)
    if not 0 < len(spec.source) <= URI_CHARS_MAX:
        yield FieldFault("spec.source", f"1 to {URI_CHARS_MAX} characters")
    size = spec.chunk_size_bytes
    if size and not CHUNK_BYTES_MIN <= size <= CHUNK_BYTES_MAX:
        rule = f"0 (chosen) or {CHUNK_BYTES_MIN} to {CHUNK_BYTES_MAX}"
        yield FieldFault("spec.chunk_size_bytes", rule)
    if not 0 <= spec.usd_max < float("inf"):
        yield FieldFault("spec.usd_max", "0 (no limit) or more dollars")
    yield from deciding.faults(spec)
    if len(spec.include) + len(spec.exclude) > GLOBS_MAX:
        yield FieldFault("spec.include", f"no more than {GLOBS_MAX} globs in all")
