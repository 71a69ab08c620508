"""Writes some files of a version into a bucket: what is there and right is not written again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from blake3 import blake3

from multicloud.errors import McError
from multicloud.v1 import export_pb2, records_pb2
from nodeagent.clouds.contract import Bucket, Clouds, Object
from nodeagent.jobs.datasets.manifest_reading import ManifestReading
from nodeagent.jobs.datasets.reading import Reading
from nodeagent.jobs.exporting import layout
from nodeagent.jobs.exporting.layout import Target
from nodeagent.jobs.sources import checksums
from nodeagent.wire.answers import Answers
from nodeagent.wire.flow import first_of

FILES_AT_ONCE = 8
LIST_BYTES_MAX = 16 << 20
# Of one file; anything else is of the node that writes, or of the whole export.
OF_A_FILE = frozenset({"ALREADY_EXISTS", "BAD_REQUEST", "COPIES_MISSING", "DAMAGE", "TOO_LARGE"})
Say = Callable[[export_pb2.ExportFilesResponse], None]


@dataclass(slots=True)
class Batch:
    """The files of one request on this node."""

    reading: Reading
    bucket: Bucket
    target: Target
    manifest: ManifestReading
    request: export_pb2.ExportFilesRequest
    say: Say
    _known: dict[str, dict[str, Any]] = field(default_factory=dict)  # What the last list says.
    _lines: dict[bytes, dict[str, Any]] = field(default_factory=dict)

    async def run(self) -> None:
        await self._demand_free()
        await self._read_list()
        room = asyncio.Semaphore(FILES_AT_ONCE)
        try:
            async with asyncio.TaskGroup() as group:
                for path in self.request.paths:
                    group.create_task(self._told(path, room))
        except BaseExceptionGroup as failed:
            raise first_of(failed) from failed
        lines = [self._lines[path] for path in self.request.paths if path in self._lines]
        await self._put_small(self._list, layout.list_bytes(self._opening, lines))

    async def write_manifest(self) -> None:
        await self._demand_free()
        await self._put_small(self.target.manifest, self.request.manifest)

    @property
    def _list(self) -> str:
        return self.target.list_of(self.request.number)

    @property
    def _opening(self) -> dict[str, Any]:
        return layout.head(self.request.name, self.request.version)

    async def _demand_free(self) -> None:
        """No export writes into what belongs to a node."""
        for mark in self.target.marks_above():
            if await self._found(mark) is not None:
                said = f"{self.target.shown} is in a volume of a node: {mark} is there"
                raise McError("FAILED", said, next="export to another prefix or bucket")

    async def _read_list(self) -> None:
        there = await self._found(self._list)
        if there is None or there.size_bytes > LIST_BYTES_MAX:
            return
        parts = self.bucket.read(there.key, there.pin, 0, there.size_bytes)
        opening, self._known = layout.read_list(b"".join([part async for part in parts]))
        if opening != self._opening and not self.request.overwrite:
            other = f"{opening.get('dataset', 'something')}@{opening.get('version', '?')}"
            said = f"{self.target.shown} holds an export of {other}"
            raise McError(
                "ALREADY_EXISTS", said, next="export to another prefix, or say --overwrite"
            )

    # --- one file

    async def _told(self, path: bytes, room: asyncio.Semaphore) -> None:
        answer = export_pb2.ExportFilesResponse(path=path)
        async with room:
            try:
                entries = await self.manifest.file(path)
                answer.bytes = entries[0].bytes
                answer.there = await self._written(path, entries)
            except McError as error:
                if error.reason not in OF_A_FILE:
                    raise
                answer.reason, answer.message = error.reason, error.message
        self.say(answer)

    async def _written(self, path: bytes, entries: Sequence[records_pb2.ManifestFile]) -> bool:
        """True: it was there. ALREADY_EXISTS when something else is."""
        key = self.target.key_of(path)
        there = await self._found(key)
        if there is not None and await self._is_same(key, there, entries):
            self._lines[path] = layout.line_of(key, entries, there)
            return True
        if there is not None and not self.request.overwrite:
            said = f"{key} is there with other content"
            raise McError("ALREADY_EXISTS", said, next="--overwrite replaces it")
        made = await self.bucket.put(
            key, self._plain(path), entries[0].bytes, absent=not self.request.overwrite
        )
        self._lines[path] = layout.line_of(key, entries, made)
        return False

    async def _is_same(
        self, key: str, there: Object, entries: Sequence[records_pb2.ManifestFile]
    ) -> bool:
        if there.size_bytes != entries[0].bytes:
            return False
        if self._known.get(key) == layout.line_of(key, entries, there):
            return True  # It was written by us, and nobody has touched it since.
        word = checksums.told(there.checksums)
        ours = checksums.begun(word)
        if ours is not None:
            async for data in self._plain(entries[0].path):
                ours.update(data)
            return checksums.agrees(ours, word)
        mine, theirs = blake3(), blake3()
        async for data in self._plain(entries[0].path):
            mine.update(data)
        async for data in self.bucket.read(key, there.pin, 0, there.size_bytes):
            theirs.update(data)
        return mine.digest() == theirs.digest()

    def _plain(self, path: bytes) -> AsyncIterator[bytes]:
        answers: Answers[bytes] = Answers()

        async def give(piece: bytes) -> None:
            answers.say(piece)
            await answers.read()

        return answers.of(lambda: self.reading.read(self.manifest, path, give))

    async def _found(self, key: str) -> Object | None:
        try:
            return await self.bucket.head(key)
        except McError as error:
            if error.reason != "NOT_FOUND":
                raise
            return None

    async def _put_small(self, key: str, data: bytes) -> None:
        async def parts() -> AsyncIterator[bytes]:
            yield data

        await self.bucket.put(key, parts(), len(data), absent=False)


@dataclass(frozen=True, slots=True)
class Writing:
    """Of this node."""

    node: str
    reading: Reading
    clouds: Clouds | None

    async def write(
        self, request: export_pb2.ExportFilesRequest
    ) -> AsyncIterator[export_pb2.ExportFilesResponse]:
        if self.clouds is None:
            said = f"{self.node} has no libraries for clouds"
            raise McError("EXTRA_MISSING", said, next="install multicloud[node,clouds] there")
        target = Target.of(request.target)
        bucket = await self.clouds.bucket(target.place)
        manifest = await self.reading.manifest(request.name, request.version)
        answers: Answers[export_pb2.ExportFilesResponse] = Answers()
        batch = Batch(self.reading, bucket, target, manifest, request, answers.say)
        async for answer in answers.of(batch.write_manifest if request.manifest else batch.run):
            yield answer
