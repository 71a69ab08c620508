"""Says whether an event loop still answers: it beats, and others look when it last did."""

import asyncio
import time
from dataclasses import dataclass, field

BEAT_EVERY_S = 0.25


@dataclass(slots=True)
class Heartbeat:
    name: str
    beaten_s: float = field(default_factory=time.monotonic)
    lag_s: float = 0.0  # How late the last beat was: what the loop's work costs others.

    async def run(self) -> None:
        while True:
            due_s = time.monotonic() + BEAT_EVERY_S
            await asyncio.sleep(BEAT_EVERY_S)
            self.beaten_s = time.monotonic()
            self.lag_s = max(0.0, self.beaten_s - due_s)

    def silent_s(self) -> float:
        return time.monotonic() - self.beaten_s
