"""How late an event loop is at this very moment, so that its lateness is not taken for distance."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

BEAT_EVERY_S = 0.05  # Twenty wake-ups a second: shorter stalls than this are left to the minimum.
TELLS_S = 2 * BEAT_EVERY_S  # So long a late beat says something about now.


@dataclass(slots=True)
class LoopLag:
    """`run` in the loop that is judged; `lag_s` wherever a stamp is taken there."""

    clock_s: Callable[[], float] = time.monotonic
    due_s: float = float("inf")  # When the next beat is.
    late_at_s: float = float("-inf")  # The last beat that came,
    late_s: float = 0.0  # and by how much it was late.

    async def run(self) -> None:
        while True:
            self.due_s = self.clock_s() + BEAT_EVERY_S
            await asyncio.sleep(BEAT_EVERY_S)
            self.beaten()

    def beaten(self) -> None:
        self.late_at_s = self.clock_s()
        self.late_s = max(0.0, self.late_at_s - self.due_s)

    def lag_s(self) -> float:
        """A stall shows before the beat that it holds up comes, and for a moment after."""
        now_s = self.clock_s()
        overdue_s = max(0.0, now_s - self.due_s)
        return max(overdue_s, self.late_s if now_s - self.late_at_s <= TELLS_S else 0.0)
