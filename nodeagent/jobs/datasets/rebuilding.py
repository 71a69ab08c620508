"""Versions rebuilt from chunks alone, given the keyring: manifests are chunks, and say themselves
of which name and number they are. Nothing that was ever decided is decided anew.
"""

import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

from multicloud.errors import McError
from multicloud.v1 import common_pb2, job_pb2, read_pb2, records_pb2
from nodeagent.core.chunk import header
from nodeagent.core.chunk.keys import DatasetKey
from nodeagent.jobs.datasets import blocks
from nodeagent.jobs.datasets.blocks import BLOCK_BYTES
from nodeagent.jobs.datasets.manifest_reading import ManifestReading
from nodeagent.jobs.datasets.reading import Reading
from nodeagent.jobs.datasets.versions import DATASETS, VERSIONS, Versions
from nodeagent.jobs.header import JOBS
from nodeagent.rpc.call import Call
from nodeagent.store.contract import Held
from nodeagent.store.contract import Reading as StoreReading

JOB = re.compile(r"[A-Za-z0-9]{1,64}")
# What makes a chunk no manifest that can be read here, and is no reason to stop.
_PASSED = ("NOT_FOUND", "DAMAGE", "UNSUPPORTED", "KEY_MISSING", "COPIES_MISSING")


class Chunks(Protocol):
    def list(self, after: bytes = b"") -> AsyncIterator[Held]: ...
    async def read(self, chunk_id: bytes) -> StoreReading: ...


@dataclass(slots=True)
class Rebuilding:
    versions: Versions
    reading: Reading
    chunks: Chunks | None
    clock_unix_s: Callable[[], float] = time.time

    async def find_manifests(
        self, request: read_pb2.FindManifestsRequest, call: Call
    ) -> AsyncIterator[read_pb2.FindManifestsResponse]:
        if self.chunks is None:
            return
        async for held in self.chunks.list():
            found = await self._found(self.chunks, held)
            if found is not None:
                yield read_pb2.FindManifestsResponse(found=found)

    async def _found(self, chunks: Chunks, held: Held) -> read_pb2.FoundManifest | None:
        try:
            stored = await chunks.read(held.chunk_id)
            await stored.close()
            known = header.decode(stored.envelope.header)
            if known.frame_bytes != BLOCK_BYTES:
                return None
            key = await self.reading.keys.key(known.key_id)
            head = blocks.head_of(await self._first(held.chunk_id, key))
        except McError as error:
            if error.reason not in _PASSED:
                raise
            return None
        return read_pb2.FoundManifest(
            name=head.name,
            version=head.version,
            job=head.job,
            files=head.files,
            chunks=head.chunks,
            bytes=head.bytes,
            key_id=known.key_id,
            chunk_id=held.chunk_id,
            size_bytes=held.file_bytes,
            stored_unix_ms=int(held.stored_unix_s * 1000),
            state=self._state(head.name, head.version),
        )

    async def _first(self, chunk_id: bytes, key: DatasetKey) -> bytes:
        return await self.reading.chunks.frame(chunk_id, key, 0, BLOCK_BYTES)

    def _state(self, name: str, version: str) -> "read_pb2.FoundState.ValueType":
        here = next((one for one in self.versions.of(name) if one.version == version), None)
        if here is None:
            return read_pb2.FOUND_STATE_UNDECIDED
        gone = bool(here.removed_unix_ms)
        return read_pb2.FOUND_STATE_REMOVED if gone else read_pb2.FOUND_STATE_DECIDED

    async def rebuild_version(
        self, request: read_pb2.RebuildVersionRequest, call: Call
    ) -> read_pb2.RebuildVersionResponse:
        """Whatever was said of the manifest is read here once more."""
        record = await self._record(request.found)
        council, key = self.versions.council, f"{VERSIONS}{record.name}/{record.version}"
        decided = await council.compare_and_set(
            key, 0, record.SerializeToString(), f"rebuild-{uuid4().hex}"
        )
        await self._number(record)
        return read_pb2.RebuildVersionResponse(
            name=record.name, version=record.version, decided=decided.changed
        )

    async def _record(self, found: read_pb2.FoundManifest) -> records_pb2.VersionRecord:
        key = await self.reading.keys.key(found.key_id)
        record = records_pb2.VersionRecord(
            name=found.name,
            version=found.version,
            job=found.job,
            manifest=[common_pb2.ChunkRef(id=found.chunk_id, size_bytes=found.size_bytes)],
            created_unix_ms=found.stored_unix_ms,
            key_id=found.key_id,
            policy=await self._policy(found.job),
        )
        manifest = ManifestReading(record, key, self.reading.chunks)
        head, files, before = await manifest.head(), 0, None
        try:
            async for file in manifest.entries(b""):
                files += file.path != before  # Long ones have several entries.
                before = file.path
        except McError as error:
            if error.reason != "DAMAGE":
                raise
            files = -1
        if files != head.files:
            said = f"the manifest of {head.name}@{head.version} goes on in further chunks, which "
            remedy = "restore a backup that has the version: `mcctl cluster restore`"
            raise McError("UNSUPPORTED", f"{said}nothing but its decision names", next=remedy)
        record.files, record.chunks, record.bytes = head.files, head.chunks, head.bytes
        return record

    async def _policy(self, job: str) -> job_pb2.Policy:
        """Of the job that made it, where that is known still; else the default."""
        register = await self.versions.council.get(JOBS + job) if JOB.fullmatch(job) else None
        value = register.value if register else b""
        return records_pb2.JobHeader.FromString(value).spec.policy

    async def _number(self, record: records_pb2.VersionRecord) -> None:
        """No later job gives that number away once more."""
        council, key = self.versions.council, DATASETS + record.name
        while True:
            register = await council.get(key)
            dataset = records_pb2.DatasetRecord.FromString(register.value)
            last = int(record.version) if record.version.isdecimal() else 0
            if register.version and dataset.last_version >= last:
                return
            dataset.name, dataset.last_version = record.name, max(last, dataset.last_version)
            dataset.key_id = dataset.key_id or record.key_id
            wish = f"rebuild-{uuid4().hex}"
            value = dataset.SerializeToString()
            if (await council.compare_and_set(key, register.version, value, wish)).changed:
                return
