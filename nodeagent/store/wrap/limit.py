"""Bounds how much is asked of a store: calls at once, and bytes a second in each direction."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from nodeagent.core.bucket import TokenBucket
from nodeagent.store.contract import Store
from nodeagent.store.wrap.around import Around

T = TypeVar("T")
WAIT_S_MIN = 0.001  # Less than that a clock may not even show.
Sleep = Callable[[float], Awaitable[None]]


class Limited(Around):
    """A put that is open between two calls holds no place: no caller waits for another's put."""

    def __init__(
        self,
        inner: Store,
        *,
        calls_max: int,
        bytes_per_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        super().__init__(inner)
        self._places = asyncio.Semaphore(calls_max)
        self._written = _Rate(bytes_per_s, clock, sleep)
        self._read = _Rate(bytes_per_s, clock, sleep)

    async def around(self, name: str, call: Callable[[], Awaitable[T]], size_bytes: int = 0) -> T:
        await self._written.spend(size_bytes)
        async with self._places:
            return await call()

    async def frame(self, data: bytes) -> bytes:
        await self._read.spend(len(data))
        return data


class _Rate:
    """One second's worth may come at once."""

    def __init__(self, bytes_per_s: float | None, clock: Callable[[], float], sleep: Sleep) -> None:
        self._clock = clock
        self._sleep = sleep
        self._bucket = None
        if bytes_per_s is not None:
            self._bucket = TokenBucket.full(bytes_per_s, bytes_per_s, clock())

    async def spend(self, size_bytes: int) -> None:
        if self._bucket is None:
            return
        while size_bytes > 0:
            part = min(size_bytes, self._bucket.burst)
            while (wait_s := self._bucket.take(self._clock(), part)) > 0:
                await self._sleep(max(wait_s, WAIT_S_MIN))
            size_bytes -= int(part) or 1
