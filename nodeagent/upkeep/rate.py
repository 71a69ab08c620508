"""Bytes by the second, also of pieces larger than a second's share: who takes more waits longer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Rate:
    """A piece waits for those before it, and goes at once when nothing was taken lately."""

    bytes_per_s: Callable[[], float]
    clock_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _free_s: float = 0.0

    async def take(self, size_bytes: int) -> None:
        now_s = self.clock_s()
        begins_s = max(now_s, self._free_s)
        self._free_s = begins_s + size_bytes / self.bytes_per_s()
        if begins_s > now_s:
            await self.sleep(begins_s - now_s)
