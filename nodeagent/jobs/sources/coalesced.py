"""Small reads of a task, one after another, are made of few large requests: a cloud asks its price
for each, and each waits for its first byte.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from multicloud.v1 import task_pb2

BLOCK_BYTES = 8 << 20
BLOCKS_MAX = 8  # Of one source on one node: what all tasks together hold.
Fetch = Callable[[task_pb2.TaskInput, int, int], Awaitable[bytes]]


@dataclass(slots=True)
class _Block:
    left_bytes: int  # That nobody has taken yet.
    data: bytes | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class Coalesced:
    """Blocks are counted from where the task's own range begins; what lies outside of it, or is
    small as a whole, is fetched as it is asked for.
    """

    fetch: Fetch
    _kept: OrderedDict[tuple[bytes, str, int], _Block] = field(default_factory=OrderedDict)

    async def read(self, asked: task_pb2.TaskInput, offset_bytes: int, size_bytes: int) -> bytes:
        begin, end = asked.range.offset_bytes, asked.range.offset_bytes + asked.range.size_bytes
        outside = offset_bytes < begin or offset_bytes + size_bytes > end
        if outside or size_bytes >= min(asked.range.size_bytes, BLOCK_BYTES):
            return await self.fetch(asked, offset_bytes, size_bytes)
        parts = []
        at = offset_bytes
        while at < offset_bytes + size_bytes:
            first = begin + (at - begin) // BLOCK_BYTES * BLOCK_BYTES
            last = min(first + BLOCK_BYTES, end)
            wanted = min(offset_bytes + size_bytes, last) - at
            data = await self._block(asked, first, last - first, wanted)
            parts.append(data[at - first : at - first + wanted])
            at += wanted
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def forget(self, path: bytes) -> None:
        """What was fetched of that object is not to be trusted."""
        for key in [key for key in self._kept if key[0] == path]:
            del self._kept[key]

    async def _block(
        self, asked: task_pb2.TaskInput, first: int, size_bytes: int, taken_bytes: int
    ) -> bytes:
        key = asked.path, asked.etag, first
        block = self._kept.setdefault(key, _Block(size_bytes))
        self._kept.move_to_end(key)
        async with block.turn:
            if block.data is None:
                block.data = await self.fetch(asked, first, size_bytes)
        block.left_bytes -= taken_bytes
        if block.left_bytes <= 0:
            self._kept.pop(key, None)
        while len(self._kept) > BLOCKS_MAX:
            self._kept.popitem(last=False)
        return block.data
