"""What all tasks of a node share, over all jobs: places to work at, and bytes that they may hold.

Whoever comes first gets room first, so a large task is never overtaken for ever.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol


class Bounds(Protocol):
    """Options of `[work]`, as they are now."""

    @property
    def slots(self) -> int: ...
    @property
    def bytes_max(self) -> int: ...
    @property
    def unsafe_max(self) -> int: ...


@dataclass(slots=True)
class Room:
    bounds: Callable[[], Bounds]
    used_slots: int = 0
    used_bytes: int = 0
    unsafe: int = 0  # Results that are acked and wait for their last copies.
    _line: deque[tuple[int, asyncio.Future[None]]] = field(default_factory=deque)
    _useful: dict[str, bool] = field(default_factory=dict)  # Jobs, and whether tasks came lately.

    @asynccontextmanager
    async def place(self, size_bytes: int) -> AsyncIterator[int]:
        """A slot and so many bytes, or all there are; what was given. Waits in line."""
        size_bytes = min(size_bytes, self.bounds().bytes_max)
        await self._wait(size_bytes)
        try:
            yield size_bytes
        finally:
            self.used_slots -= 1
            self.used_bytes -= size_bytes
            self._admit()

    async def _wait(self, size_bytes: int) -> None:
        came: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((size_bytes, came))
        self._admit()
        try:
            await came
        except asyncio.CancelledError:
            if came.done() and not came.cancelled():  # It was let in and leaves at once.
                self.used_slots -= 1
                self.used_bytes -= size_bytes
            self._admit()
            raise

    def _admit(self) -> None:
        while self._line:
            size_bytes, came = self._line[0]
            if came.done():  # Who waited is gone.
                self._line.popleft()
                continue
            if not self._fits(size_bytes):
                return
            self._line.popleft()
            self.used_slots += 1
            self.used_bytes += size_bytes
            came.set_result(None)

    def _fits(self, size_bytes: int) -> bool:
        bounds = self.bounds()
        if self.used_slots >= bounds.slots:
            return False
        return not self.used_slots or self.used_bytes + size_bytes <= bounds.bytes_max

    # --- what stewards are told

    @property
    def waiting(self) -> int:
        return sum(not came.done() for _, came in self._line)

    @property
    def free_bytes(self) -> int:
        return max(0, self.bounds().bytes_max - self.used_bytes)

    def offer(self, job: str, *, running: int, useful: bool) -> int:
        """How many more tasks this job may give: its share among those that make use of theirs."""
        self._useful[job] = useful
        bounds = self.bounds()
        if self.unsafe >= bounds.unsafe_max:
            return 0
        others = sum(used for other, used in self._useful.items() if other != job)
        share = -(-bounds.slots // (others + 1))
        free = bounds.slots - self.used_slots - self.waiting
        return max(0, min(free, share - running))

    def forget(self, job: str) -> None:
        self._useful.pop(job, None)

    def waits(self) -> list[str]:
        """Why no more is taken, in plain words; empty when nothing stands still."""
        bounds, found = self.bounds(), []
        if self.unsafe >= bounds.unsafe_max:
            found.append(f"{self.unsafe} results are acked and wait for their last copies")
        if self.waiting and self.used_slots < bounds.slots:
            held = f"{self.used_bytes} of {bounds.bytes_max} bytes are held"
            found.append(f"{self.waiting} tasks wait for room: {held}")
        return found
