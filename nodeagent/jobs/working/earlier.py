"""The version before, as a worker uses it: what is unchanged is taken over without being read, and
what was read and is the same is found there. Either counts only with enough copies pinned.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from multicloud.errors import McError
from multicloud.v1 import job_pb2, records_pb2, task_pb2
from nodeagent.core.chunk.keys import DatasetKey, duplicate_tag
from nodeagent.core.pipeline.model import Pipeline
from nodeagent.core.pipeline.naming import name_of
from nodeagent.jobs.facts import path_bytes
from nodeagent.jobs.working.records import part_of
from nodeagent.jobs.working.unchanged import files_of, parts_of, why_not
from nodeagent.wire.deliver import Delivered

_log = structlog.stdlib.get_logger(__name__)
TAGS_MAX = 1 << 20  # Chunks of the version that are known by content; 64 TiB of them.


class Manifest(Protocol):
    """Of `datasets.manifest_reading`."""

    async def head(self) -> records_pb2.ManifestHead: ...
    async def chunk(self, place: int) -> records_pb2.ManifestChunk: ...
    def chunks(self) -> AsyncIterator[records_pb2.ManifestChunk]: ...
    async def several(
        self, paths: Iterable[bytes]
    ) -> dict[bytes, list[records_pb2.ManifestFile]]: ...


class Holding(Protocol):
    async def of(
        self, chunks: Sequence[records_pb2.ManifestChunk], task: str
    ) -> dict[bytes, task_pb2.SealedChunk]:
        """Those that are acked, and pinned for the job on all the copies that are told."""
        ...

    def safe(self, chunk: task_pb2.SealedChunk) -> bool: ...
    async def complete(self, chunk: task_pb2.SealedChunk, task: str) -> Delivered:
        """Brings it to where the policy asks for more copies."""
        ...


class Open(Protocol):
    async def __call__(self) -> Manifest | None:
        """None: there is no version before, or it is not to be used."""
        ...


@dataclass(frozen=True, slots=True)
class Taken:
    """Inputs by their place, what was made of them, and the chunks that hold it."""

    inputs: frozenset[int] = frozenset()
    files: Sequence[task_pb2.ResultFile] = ()
    chunks: Sequence[task_pb2.SealedChunk] = ()
    objects: int = 0  # That begin in them.
    bytes: int = 0


@dataclass(slots=True)
class Earlier:
    """For one job on this node. Whatever goes wrong with it, the bytes can be read anew."""

    open: Open
    holding: Holding
    spec: job_pb2.JobSpec
    pipeline: Pipeline
    key: DatasetKey
    _manifest: Manifest | None = None
    _chunks: dict[bytes, records_pb2.ManifestChunk] = field(default_factory=dict)  # By tag.
    _sizes: set[int] = field(default_factory=set)
    _ready: bool = False
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ready(self) -> None:
        """Opened, or known to be of no use. A manifest that cannot be read now is tried once."""
        async with self._opening:
            if self._ready:
                return
            self._ready = True
            try:
                manifest = await self.open()
                if manifest is None:
                    return
                head = await manifest.head()
                why = why_not(head, self.spec, self.pipeline)
                if not why:
                    await self._learn(manifest)
                    self._manifest = manifest
            except McError as error:
                head, why = records_pb2.ManifestHead(), error.message
            if why:
                _log.info("nothing_taken_over", dataset=self.spec.dataset, why=why)

    async def _learn(self, manifest: Manifest) -> None:
        async for chunk in manifest.chunks():
            if chunk.duplicate_tag and len(self._chunks) < TAGS_MAX:
                self._chunks[chunk.duplicate_tag] = chunk
                self._sizes.add(chunk.plain_bytes)

    # --- what is not read

    async def take(self, task: str, inputs: Sequence[task_pb2.TaskInput]) -> Taken:
        if self._manifest is None:
            return Taken()
        try:
            return await self._take(self._manifest, task, inputs)
        except McError as error:
            _log.info("nothing_taken_over", task=task, why=error.message)
            return Taken()

    async def _take(
        self, manifest: Manifest, task: str, inputs: Sequence[task_pb2.TaskInput]
    ) -> Taken:
        paths = {n: path for n, one in enumerate(inputs) if (path := self._path_of(one))}
        entries = await manifest.several(paths.values())
        same = {
            n: parts
            for n, path in paths.items()
            if path in entries and (parts := self._parts(inputs[n], entries[path])) is not None
        }
        places = sorted({part.chunk for parts in same.values() for part in parts})
        chunks = {place: await manifest.chunk(place) for place in places}
        held = await self.holding.of(list(chunks.values()), task)
        lost = {place for place, chunk in chunks.items() if chunk.id not in held}
        same = {n: ps for n, ps in same.items() if not lost & {part.chunk for part in ps}}
        used = sorted({part.chunk for parts in same.values() for part in parts})
        place_of = {place: number for number, place in enumerate(used)}
        files: list[task_pb2.ResultFile] = []
        for n, parts in same.items():
            records = entries[paths[n]][0].records
            files += files_of(inputs[n], paths[n], records, parts, place_of)
        taken = [held[chunks[place].id] for place in used]
        return Taken(
            frozenset(same),
            files,
            taken,
            sum(not inputs[n].range.offset_bytes for n in same),
            sum(inputs[n].range.size_bytes for n in same),
        )

    def _path_of(self, asked: task_pb2.TaskInput) -> bytes:
        """Of what was made of that range; empty where that is a part of a file with others."""
        if self.pipeline.passes_through:
            return asked.path
        whole = asked.range.size_bytes == asked.size_bytes
        if self.pipeline.output.format == "same" and not whole:
            return b""
        return path_bytes(name_of(part_of(asked, self.spec.chunk_size_bytes), self.pipeline)[0])

    def _parts(
        self, asked: task_pb2.TaskInput, entries: Sequence[records_pb2.ManifestFile]
    ) -> list[records_pb2.FilePart] | None:
        return parts_of(asked, entries, passes_through=self.pipeline.passes_through)

    # --- what is read, and the same

    def may_have(self, plain_bytes: int) -> bool:
        """A chunk of that size is there: worth a look before anything is sealed."""
        return plain_bytes in self._sizes

    async def same_as(
        self, task: str, plain_hash: bytes, plain_bytes: int
    ) -> task_pb2.SealedChunk | None:
        """The chunk with these very bytes."""
        chunk = self._chunks.get(duplicate_tag(self.key, plain_hash))
        if chunk is None or chunk.plain_bytes != plain_bytes:
            return None
        try:
            return (await self.holding.of([chunk], task)).get(chunk.id)
        except McError as error:
            _log.info("sealed_anew", task=task, chunk=chunk.id.hex(), why=error.message)
            return None
