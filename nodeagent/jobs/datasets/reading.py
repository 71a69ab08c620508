"""Reading a version: any range of a file, decrypted here, from the nearest good copies. Every part
that is read whole is compared with the hash that its worker wrote down.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from blake3 import blake3

from multicloud.errors import FieldFault, McError
from multicloud.v1 import records_pb2
from nodeagent.core.chunk.keys import DatasetKey
from nodeagent.jobs.datasets.chunk_reading import ChunkReading
from nodeagent.jobs.datasets.manifest_reading import ManifestReading
from nodeagent.jobs.datasets.versions import Versions
from nodeagent.wire.flow import first_of

OPEN_MAX = 16  # Manifests of which something is kept in memory.
AHEAD_PIECES = 4  # Of at most a MiB, read before they are asked for.
NEXT_CHUNKS = 32  # Whose holders are asked for together.

Give = Callable[[bytes], Awaitable[None]]


class Keys(Protocol):
    async def key(self, key_id: bytes) -> DatasetKey:
        """KEY_MISSING when it was shredded, or this node has no keys."""
        ...


@dataclass(slots=True)
class Reading:
    versions: Versions
    keys: Keys
    chunks: ChunkReading
    _open: OrderedDict[bytes, ManifestReading] = field(default_factory=OrderedDict)

    async def manifest(self, name: str, version: str = "") -> ManifestReading:
        """Of a version that stands; the key is asked for each time, so a shredded one is gone."""
        return await self.manifest_of(await self.versions.find(name, version))

    async def manifest_of(self, record: records_pb2.VersionRecord) -> ManifestReading:
        key = await self.keys.key(record.key_id)
        which = b"".join(ref.id for ref in record.manifest)
        found = self._open.get(which)
        if found is None or found.key != key:
            found = self._open[which] = ManifestReading(record, key, self.chunks)
        self._open.move_to_end(which)
        if len(self._open) > OPEN_MAX:
            self._open.popitem(last=False)
        return found

    async def read(
        self,
        manifest: ManifestReading,
        path: bytes,
        give: Give,
        *,
        offset_bytes: int = 0,
        size_bytes: int | None = None,
    ) -> None:
        """Gives a range of a file in order, reading a little ahead of whoever takes it."""
        entries = await manifest.file(path)
        whole_bytes = entries[0].bytes
        end = whole_bytes if size_bytes is None else offset_bytes + size_bytes
        if offset_bytes > whole_bytes or end > whole_bytes:
            rule = f"within the file's {whole_bytes} bytes"
            fault = FieldFault("range", rule)
            raise McError("BAD_REQUEST", "the range goes over the end of the file", faults=[fault])
        parts = [part for entry in entries for part in entry.parts]
        wanted = [p for p in parts if p.at_bytes < end and p.at_bytes + p.size_bytes > offset_bytes]
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(AHEAD_PIECES)

        async def fill() -> None:
            for place, part in enumerate(wanted):
                await self._part(manifest, wanted[place:], part, offset_bytes, end, queue.put)
            await queue.put(None)

        try:
            async with asyncio.TaskGroup() as group:
                filling = group.create_task(fill())
                while (piece := await queue.get()) is not None:
                    await give(piece)
                await filling
        except BaseExceptionGroup as failed:
            raise first_of(failed) from failed

    async def several(
        self, manifest: ManifestReading, paths: Sequence[bytes], bytes_max: int
    ) -> list[bytes]:
        """Small files whole, in their order. NOT_FOUND, or TOO_LARGE when they are not small."""
        entries = await manifest.several(paths)
        for path in paths:
            if path not in entries:
                await manifest.file(path)  # It says what is missing.
        size_bytes = sum(entries[path][0].bytes for path in paths)
        if size_bytes > bytes_max:
            said = f"{size_bytes} bytes of {len(paths)} files were asked for at once"
            raise McError("TOO_LARGE", f"{said}; {bytes_max} may be", next="read fewer at once")
        return [await self._small(manifest, entries[path]) for path in paths]

    async def _small(
        self, manifest: ManifestReading, entries: Sequence[records_pb2.ManifestFile]
    ) -> bytes:
        pieces: list[bytes] = []

        async def give(piece: bytes) -> None:
            pieces.append(piece)

        parts = [part for entry in entries for part in entry.parts]
        for place, part in enumerate(parts):
            await self._part(manifest, parts[place:], part, 0, entries[0].bytes, give)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _part(
        self,
        manifest: ManifestReading,
        following: Sequence[records_pb2.FilePart],
        part: records_pb2.FilePart,
        begin: int,
        end: int,
        give: Give,
    ) -> None:
        first = max(0, begin - part.at_bytes)
        last = min(part.size_bytes, end - part.at_bytes)
        chunk = await manifest.chunk(part.chunk)
        if part.offset_bytes + part.size_bytes > chunk.plain_bytes:
            raise McError("DAMAGE", f"a file's part goes over the end of chunk {chunk.id.hex()}")
        places = dict.fromkeys(one.chunk for one in following[:NEXT_CHUNKS])
        beside = [(await manifest.chunk(place)).id for place in places]
        digest = blake3() if (first, last) == (0, part.size_bytes) else None

        async def checked(piece: bytes) -> None:
            if digest is not None:
                digest.update(piece)
            await give(piece)

        await self.chunks.read(
            chunk.id, manifest.key, part.offset_bytes + first, last - first, checked, beside=beside
        )
        if digest is not None and part.blake3 and digest.digest() != part.blake3:
            said = f"what chunk {chunk.id.hex()} holds is not what was written into the file"
            raise McError("DAMAGE", said, facts={"chunk": chunk.id.hex()})


def whole_hash(entries: Sequence[records_pb2.ManifestFile]) -> bytes:
    """Of a file's bytes where one chunk has all of it; else of its parts' hashes."""
    parts = [part for entry in entries for part in entry.parts]
    if not parts:
        return blake3().digest()
    return (
        parts[0].blake3 if len(parts) == 1 else blake3(b"".join(p.blake3 for p in parts)).digest()
    )


def chunks_of(entries: Sequence[records_pb2.ManifestFile]) -> int:
    return len({part.chunk for entry in entries for part in entry.parts})
