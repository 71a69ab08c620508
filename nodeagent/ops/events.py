"""What has happened lately on this node, for `mcctl events`: a bounded list with a number each."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

EVENTS_MAX = 4096
LOOK_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Happening:
    sequence: int
    unix_ms: int
    name: str
    facts: Mapping[str, str]


@dataclass(slots=True)
class EventLog:
    """Written from any thread, read by the main loop."""

    _kept: deque[Happening] = field(default_factory=lambda: deque(maxlen=EVENTS_MAX))
    _last: int = 0
    _adding: threading.Lock = field(default_factory=threading.Lock)

    def add(self, name: str, **facts: str) -> None:
        with self._adding:
            self._last += 1
            self._kept.append(Happening(self._last, time.time_ns() // 1_000_000, name, facts))

    def since(self, sequence: int) -> list[Happening]:
        with self._adding:
            return [one for one in self._kept if one.sequence > sequence]

    async def read(self, after: int, follow: bool) -> AsyncIterator[Happening]:
        """Those after a number; with `follow`, also those to come."""
        while True:
            for one in self.since(after):
                after = one.sequence
                yield one
            if not follow:
                return
            await asyncio.sleep(LOOK_EVERY_S)
