"""What processes that come and go hold at most: commands of the bench, and workers of daemons."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import psutil

from tests.bench import cost

EVERY_S = 0.1  # The kernel keeps the peak; only what comes after the last look is missed.


@dataclass
class Peaks:
    command_mib: float = 0.0
    worker_mib: float = 0.0

    def look(self, daemons: Sequence[int]) -> None:
        """On the loop that starts the commands: none is seen before it has become one."""
        self.command_mib = max(self.command_mib, _most(psutil.Process().children))
        for pid in daemons:
            with suppress(psutil.NoSuchProcess):
                self.worker_mib = max(self.worker_mib, _most(psutil.Process(pid).children))


def _most(children: Callable[[], list[psutil.Process]]) -> float:
    found = 0.0
    for child in children():
        # Whoever has ended meanwhile has no memory, or no line of it.
        with suppress(OSError, ValueError):
            found = max(found, cost.peak_mib(child.pid))
    return found


@asynccontextmanager
async def peaks(daemons: Sequence[int]) -> AsyncIterator[Peaks]:
    found = Peaks()

    async def look() -> None:
        while True:
            found.look(daemons)
            await asyncio.sleep(EVERY_S)

    async with asyncio.TaskGroup() as group:
        looking = group.create_task(look())
        try:
            yield found
        finally:
            looking.cancel()
