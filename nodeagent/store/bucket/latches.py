"""One at a time for each of many things, at no cost for those that nobody touches."""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Latches(Generic[K]):
    def __init__(self) -> None:
        self._open: dict[K, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def hold(self, key: K) -> AsyncIterator[None]:
        lock, users = self._open.get(key) or (asyncio.Lock(), 0)
        self._open[key] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            lock, users = self._open[key]
            if users == 1:
                del self._open[key]
            else:
                self._open[key] = lock, users - 1
