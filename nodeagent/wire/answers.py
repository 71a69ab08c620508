"""What a stream's work has to say, given to whoever reads the stream, with a sign of life when it
has nothing to say for long.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Answers(Generic[T]):
    """`alive` makes a sign of life, told after `quiet_s` of silence; 0 seconds: never."""

    def __init__(self, alive: Callable[[], T] | None = None, quiet_s: float = 0.0) -> None:
        self._alive, self._quiet_s = alive, quiet_s
        self._waiting: deque[T] = deque()
        self._came = asyncio.Event()
        self._read = asyncio.Event()

    def say(self, answer: T) -> None:
        self._waiting.append(answer)
        self._came.set()

    async def read(self) -> None:
        """Returns when all that was said is on its way: so nothing heaps up here."""
        while self._waiting:
            self._read.clear()
            await self._read.wait()

    async def of(self, work: Callable[[], Awaitable[None]]) -> AsyncIterator[T]:
        """Runs `work` and yields what it says; raises what it raises; ends it when it is closed."""
        # No TaskGroup: its scope must not span the yields of a generator that others drive.
        working = asyncio.get_running_loop().create_task(_awaited(work))
        working.add_done_callback(lambda _: self._came.set())
        try:
            while True:
                while self._waiting:
                    yield self._waiting.popleft()
                    self._read.set()
                if working.done():
                    break
                self._came.clear()
                await self._news(working)
            await working  # Raises what ended it.
        finally:
            working.cancel()
            await asyncio.wait([working])
            if not working.cancelled():
                working.exception()  # Looked at, whoever closed this.

    async def _news(self, working: "asyncio.Task[None]") -> None:
        if self._alive is None:
            await self._came.wait()
            return
        try:
            async with asyncio.timeout(self._quiet_s):
                await self._came.wait()
        except TimeoutError:
            if not self._waiting:
                self.say(self._alive())


async def _awaited(work: Callable[[], Awaitable[None]]) -> None:
    await work()
