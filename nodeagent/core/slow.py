"""Which chunks are slow: by what others took lately, so that nobody has to know a number."""

from collections import deque
from dataclasses import dataclass, field
from statistics import median

SAMPLES, ENOUGH = 256, 16  # Fewer than enough say nothing.
TIMES = 3.0  # As long as the median took.


@dataclass(slots=True)
class Slow:
    _took_s: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))

    def is_slow(self, seconds: float) -> bool:
        """Judged by those before it, and remembered for those after it."""
        slow = len(self._took_s) >= ENOUGH and seconds >= TIMES * median(self._took_s)
        self._took_s.append(seconds)
        return slow
