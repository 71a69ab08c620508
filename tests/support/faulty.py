"""A store in memory whose disk is full, fails in the middle or at the end, or hangs."""

import asyncio
from typing import Any

from multicloud.errors import McError
from nodeagent.store.contract import Put
from nodeagent.store.memory import MemoryStore


class Faulty(MemoryStore):
    """A store whose disk is full, fails in the middle, or hangs."""

    fails = ""

    async def put(self, file_bytes_max: int, chunk_id: bytes = b"") -> Put:
        if self.fails == "at once":
            raise McError("NO_ROOM", "it is full")
        made = await super().put(file_bytes_max, chunk_id)
        return _Failing(made, self.fails) if self.fails else made


class _Failing:
    def __init__(self, put: Put, fails: str) -> None:
        self._put, self._fails = put, fails
        self._writes = 0

    async def write(self, data: Any) -> None:
        self._writes += 1
        if self._fails == "hangs" and self._writes == 2:
            await asyncio.Event().wait()
        if self._fails == "in the middle" and self._writes == 3:
            raise McError("VOLUME_FAILED", "the disk went away")
        await self._put.write(data)

    async def commit(self, envelope: Any, pin: Any) -> Any:
        if self._fails == "at the end":
            raise McError("VOLUME_FAILED", "fsync failed")
        return await self._put.commit(envelope, pin)

    async def abort(self) -> None:
        await self._put.abort()
        if self._fails == "hangs":
            await asyncio.Event().wait()
