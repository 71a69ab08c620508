"""The scrub: every chunk is read again within the window, while nobody else needs the disk.

Its place survives restarts, because each volume keeps when a chunk was last checked. What the
store finds damaged it tells by `on_damage`; the scrub only goes on.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from multicloud.errors import McError
from nodeagent.core.upkeep_schedule import due, is_late, pace_bytes_per_s
from nodeagent.store.contract import Held
from nodeagent.upkeep.contract import Chunks, Settings, Telling
from nodeagent.upkeep.rate import Rate
from nodeagent.upkeep.walk import walk

DUE_MAX = 10_000  # Chunks that are planned at once; the others stay due.
GIVE_WAY_S = 0.2
LAG_S_MAX, LOOK_S = 0.02, 0.005  # A loop that is so late has other work.
NEVER = float("inf")


@dataclass(slots=True)
class Progress:
    """What is known since the last look."""

    chunks: int = 0
    bytes_used: int = 0
    waiting: int = 0  # Due and not read yet.
    oldest_unix_s: float | None = None
    hurried: int = 0  # Chunks that an asked scrub has read so far.


@dataclass(slots=True)
class Scrub:
    chunks: Chunks
    read: Callable[[Held], Awaitable[object]]  # All of that very copy, on its volume.
    settings: Callable[[], Settings]
    busy: Callable[[], bool]  # Whether traffic needs the node now.
    telling: Telling
    clock_unix_s: Callable[[], float] = time.time
    clock_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    progress: Progress = field(default_factory=Progress)
    trouble: str = ""
    _passed_over: str = ""  # Why a chunk could not be read in this pass, and was no damage.
    _asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                self._passed_over = ""
                if self._asked.is_set():
                    self._asked.clear()
                    await self.everything()
                await self.pass_once()
                self.trouble = self._passed_over
            except McError as unread:  # Of the list of chunks; it is looked at again soon.
                self.trouble = unread.message
            await self._wait(self.settings().look_every_s)

    def hurry(self) -> None:
        """Somebody wants every chunk to be read again, beginning now."""
        self._asked.set()

    async def pass_once(self) -> int:
        """Reads what is due; how many chunks."""
        planned = await self._planned()
        rate = Rate(self._pace, self.clock_s, self.sleep)
        for one in planned:
            if self._asked.is_set():
                break
            await self._give_way(one)
            await rate.take(one.file_bytes)
            await self._read(one)
            self.progress.waiting -= 1
        return len(planned)

    async def _planned(self) -> list[Held]:
        now_s, within_s = self.clock_unix_s(), self.settings().scrub_within_s
        progress = Progress()
        ready: list[Held] = []
        async for one in self._counted(progress):
            ready.append(one)
            if len(ready) >= 2 * DUE_MAX:  # A volume may have millions.
                ready = due(ready, now_s, within_s, DUE_MAX)
        ready = due(ready, now_s, within_s, DUE_MAX)
        progress.waiting = len(ready)
        self.progress = progress
        return ready

    async def everything(self) -> int:
        """Reads every chunk, as fast as its rate allows and without giving way."""
        read = 0
        rate = Rate(self._pace, self.clock_s, self.sleep)
        async for one in walk(self.chunks):
            await rate.take(one.file_bytes)
            await self._read(one)
            read += 1
            self.progress.hurried = read
        await self._planned()
        return read

    async def _counted(self, progress: Progress) -> AsyncIterator[Held]:
        oldest_unix_s = NEVER
        async for one in walk(self.chunks):
            progress.chunks += 1
            progress.bytes_used += one.file_bytes
            oldest_unix_s = min(oldest_unix_s, one.verified_unix_s)
            yield one
        progress.oldest_unix_s = oldest_unix_s if progress.chunks else None

    def _pace(self) -> float:
        settings = self.settings()
        used, limit = self.progress.bytes_used, settings.scrub_bytes_per_s_max
        return pace_bytes_per_s(used, settings.scrub_within_s, limit)

    async def _give_way(self, one: Held) -> None:
        """Idle priority: traffic goes first, until the window itself is in danger."""
        within_s = self.settings().scrub_within_s
        while not is_late(one, self.clock_unix_s(), within_s) and not self._asked.is_set():
            if not self.busy() and await self._lag_s() < LAG_S_MAX:
                return
            await self.sleep(GIVE_WAY_S)

    async def _lag_s(self) -> float:
        """How late the loop comes to its work now."""
        begun_s = self.clock_s()
        await self.sleep(LOOK_S)
        return self.clock_s() - begun_s - LOOK_S

    async def _read(self, one: Held) -> None:
        try:
            await self.read(one)
        except McError as bad:
            # The store has told of damage already. A chunk that went meanwhile is no matter.
            if bad.reason not in ("DAMAGE", "NOT_FOUND"):
                self._passed_over = bad.message
        else:
            self.telling.count("mc.upkeep.scrubbed", one.file_bytes)

    async def _wait(self, most_s: float) -> None:
        try:
            async with asyncio.timeout(most_s):
                await self._asked.wait()
        except TimeoutError:
            pass

    def oldest_age_s(self) -> float:
        """0 when there is no chunk."""
        oldest_unix_s = self.progress.oldest_unix_s
        return 0.0 if oldest_unix_s is None else max(0.0, self.clock_unix_s() - oldest_unix_s)
