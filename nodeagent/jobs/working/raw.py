"""A task whose bytes pass through: files one after another into one chunk, and no library looks.

It streams: while one piece is read, the one before is sealed, and those before are on the wire.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import chain

from blake3 import blake3

from multicloud.v1 import task_pb2
from nodeagent.core.chunk.envelope import Bytes
from nodeagent.jobs.contract import SkippedObject
from nodeagent.jobs.working.ahead import (
    PIECE_BYTES,
    Data,
    Piece,
    Skip,
    ahead,
    pieces_of,
    ranged,
)
from nodeagent.jobs.working.stages import Reads

HASH_HERE_BYTES_MAX = 64 << 10  # What takes less than a hop to a thread and back.


@dataclass(slots=True)
class RawChunk:
    """Its plain bytes may be asked for again and again; `files` are those of the last time."""

    group: asyncio.TaskGroup
    inputs: Sequence[task_pb2.TaskInput]
    reading: Reads
    place: int = 0  # Of the chunk in the result.
    bad: dict[int, str] = field(default_factory=dict)  # Inputs that cannot be taken in, and why.
    files: list[task_pb2.ResultFile] = field(default_factory=list)
    bytes_in: int = 0
    _at: int = 0
    _hash: blake3 = field(default_factory=blake3)
    _size: int = 0  # Of the file that is being read, so far.

    async def plain(self) -> AsyncGenerator[Bytes, None]:
        """SkippedObject when something is found out of which bytes were given already: then
        everything is to be asked for again, without it.
        """
        self.files, self.bytes_in, self._at = [], 0, 0
        self._begin()
        batch: list[Bytes] = []
        batch_bytes = 0
        wanted = [n for n in range(len(self.inputs)) if n not in self.bad]
        pieces = chain.from_iterable(pieces_of(n, self.inputs[n]) for n in wanted)
        async with aclosing(ahead(self.group, pieces, self._read)) as found:
            async for piece, data in found:
                if piece.input in self.bad:
                    continue
                if isinstance(data, Skip):
                    self._skip(piece, data.why)
                    continue
                await self._take(piece, data)
                if data:
                    batch.append(data)
                    batch_bytes += len(data)
                if batch_bytes >= PIECE_BYTES:
                    yield batch[0] if len(batch) == 1 else b"".join(batch)
                    batch, batch_bytes = [], 0
        if batch:
            yield b"".join(batch)

    async def _read(self, batch: Sequence[Piece]) -> Sequence[Data]:
        wanted = [ranged(self.inputs[p.input], p.offset_bytes, p.size_bytes) for p in batch]
        found = await self.reading.read_several(wanted)
        return [Skip(one.why) if isinstance(one, SkippedObject) else one for one in found]

    def _skip(self, piece: Piece, why: str) -> None:
        self.bad[piece.input] = why
        if self._size:
            raise SkippedObject(self.inputs[piece.input].path, why)
        self._begin()

    async def _take(self, piece: Piece, data: bytes) -> None:
        if len(data) > HASH_HERE_BYTES_MAX:
            await asyncio.to_thread(self._hash.update, data)
        else:
            self._hash.update(data)
        self._size += len(data)
        self.bytes_in += len(data)
        if piece.last:
            asked = self.inputs[piece.input]
            self.files.append(
                task_pb2.ResultFile(
                    path=asked.path,
                    chunk=self.place,
                    offset_bytes=self._at,
                    size_bytes=self._size,
                    blake3=self._hash.digest(),
                    at_bytes=asked.range.offset_bytes,
                    origin=asked.path,
                    origin_etag=asked.etag,
                    modified_unix_ms=asked.modified_unix_ms,
                    mode=asked.mode,
                )
            )
            self._at += self._size
            self._begin()

    def _begin(self) -> None:
        self._hash, self._size = blake3(), 0
