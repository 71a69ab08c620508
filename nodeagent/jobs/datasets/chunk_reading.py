"""Plain bytes of chunks, by range. What is read in small pieces is kept for a moment: a chunk may
hold thousands of files, and each frame of it is fetched and opened once for all of them.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

from nodeagent.core.chunk.header import FRAME_BYTES
from nodeagent.core.chunk.keys import DatasetKey
from nodeagent.jobs.datasets.racing import Means, Race, Wanted
from nodeagent.jobs.datasets.sources_of_chunk import PlainFrame, Shape

KEPT_BYTES_MAX = 64 << 20
SHAPES_MAX = 1 << 16

Give = Callable[[bytes], Awaitable[None]]


@dataclass(slots=True)
class ChunkReading:
    means: Means
    kept_bytes_max: int = KEPT_BYTES_MAX
    _frames: OrderedDict[tuple[bytes, int], bytes] = field(default_factory=OrderedDict)
    _shapes: OrderedDict[bytes, Shape] = field(default_factory=OrderedDict)
    _kept_bytes: int = 0
    _fetching: dict[bytes, asyncio.Lock] = field(default_factory=dict)

    async def read(
        self,
        chunk_id: bytes,
        key: DatasetKey,
        offset_bytes: int,
        size_bytes: int,
        give: Give,
        *,
        frame_bytes: int = FRAME_BYTES,
        beside: Collection[bytes] = (),
    ) -> None:
        """Gives exactly those bytes, in pieces, in order. COPIES_MISSING when no copy serves them.

        Who may read is judged before: `key` is the proof.
        """
        wanted = Wanted(chunk_id, key, offset_bytes, size_bytes, frame_bytes, beside)
        if size_bytes < frame_bytes:
            for piece in await self._small(wanted):
                await give(piece)
            return

        async def cut(frame: PlainFrame) -> None:
            self._learn(chunk_id, frame.shape)
            await give(_cut(frame.data, frame.index, frame.shape.frame_bytes, wanted))

        await Race(self.means, wanted, cut).run()

    async def frame(self, chunk_id: bytes, key: DatasetKey, index: int, frame_bytes: int) -> bytes:
        """One whole frame of a chunk that has frames of that size."""
        wanted = Wanted(chunk_id, key, index * frame_bytes, 1, frame_bytes)
        (whole,) = await self._whole(wanted)
        return whole

    async def plain_bytes(self, chunk_id: bytes, key: DatasetKey, frame_bytes: int) -> int:
        if chunk_id not in self._shapes:
            await self._whole(Wanted(chunk_id, key, 0, 1, frame_bytes))
        return self._shapes[chunk_id].plain_bytes

    async def _small(self, wanted: Wanted) -> list[bytes]:
        frames = await self._whole(wanted)
        size = self._shapes[wanted.chunk_id].frame_bytes
        first = wanted.indices(size).start
        return [_cut(data, first + at, size, wanted) for at, data in enumerate(frames)]

    async def _whole(self, wanted: Wanted) -> list[bytes]:
        """The frames of a range, from memory where they are; one reader at a time for a chunk."""
        chunk_id = wanted.chunk_id
        lock = self._fetching.setdefault(chunk_id, asyncio.Lock())
        try:
            async with lock:
                return self._known(wanted) or await self._fetched(wanted)
        finally:
            if not lock.locked():
                self._fetching.pop(chunk_id, None)

    def _known(self, wanted: Wanted) -> list[bytes] | None:
        shape = self._shapes.get(wanted.chunk_id)
        if shape is None:
            return None
        found = []
        for index in wanted.indices(shape.frame_bytes):
            data = self._frames.get((wanted.chunk_id, index))
            if data is None:
                return None
            self._frames.move_to_end((wanted.chunk_id, index))
            found.append(data)
        return found

    async def _fetched(self, wanted: Wanted) -> list[bytes]:
        found: list[bytes] = []

        async def take(frame: PlainFrame) -> None:
            self._learn(wanted.chunk_id, frame.shape)
            self._keep(wanted.chunk_id, frame)
            found.append(frame.data)

        await Race(self.means, wanted, take).run()
        return found

    def _learn(self, chunk_id: bytes, shape: Shape) -> None:
        self._shapes[chunk_id] = shape
        self._shapes.move_to_end(chunk_id)
        if len(self._shapes) > SHAPES_MAX:
            self._shapes.popitem(last=False)

    def _keep(self, chunk_id: bytes, frame: PlainFrame) -> None:
        old = self._frames.pop((chunk_id, frame.index), b"")
        self._frames[chunk_id, frame.index] = frame.data
        self._kept_bytes += len(frame.data) - len(old)
        while self._kept_bytes > self.kept_bytes_max and len(self._frames) > 1:
            _, gone = self._frames.popitem(last=False)
            self._kept_bytes -= len(gone)


def _cut(data: bytes, index: int, frame_bytes: int, wanted: Wanted) -> bytes:
    begin = index * frame_bytes
    first = max(0, wanted.offset_bytes - begin)
    end = wanted.offset_bytes + wanted.size_bytes - begin
    return data if first == 0 and end >= len(data) else data[first:end]
