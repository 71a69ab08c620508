"""How many requests a second a bucket bears, found out and stayed below. The clock is an argument.

It begins modestly and doubles, as clouds scale with what comes. Once it was refused, it goes back
below what it really sent, and from then on comes near that only slowly.
"""

from dataclasses import dataclass
from math import inf

from nodeagent.core.bucket import TokenBucket

LEAST_PER_S = 1.0
FIRST_SHARE = 0.1
CUT = 0.7
NEAR = 0.85  # Of the rate at which it was refused last: from here on slowly.
FAST, SLOW = 1.0, 0.02  # Growth a second.
CUT_EVERY_S = 1.0  # One burst of refusals is one refusal.
WINDOW_S = 1.0


@dataclass(slots=True)
class RequestRate:
    most_per_s: float
    per_s: float
    _bucket: TokenBucket
    _ceiling_per_s: float  # Where it was refused last; infinite: never.
    _seen_s: float
    _cut_s: float
    _window_s: float
    _sent: int = 0
    _measured_per_s: float = 0.0

    @classmethod
    def begin(cls, most_per_s: float, now_s: float) -> "RequestRate":
        first = max(LEAST_PER_S, most_per_s * FIRST_SHARE)
        bucket = TokenBucket.full(first, max(1.0, first), now_s)
        return cls(most_per_s, first, bucket, inf, now_s, now_s - CUT_EVERY_S, now_s)

    def wait_s(self, now_s: float) -> float:
        """0 when a request may be made now, which counts as made; else how long to wait."""
        wait_s = self._bucket.take(now_s)
        if wait_s == 0.0:
            self._measure(now_s)
            self._sent += 1
        return wait_s

    def limit(self, most_per_s: float, now_s: float) -> None:
        """Another bound from now on, after a reload."""
        if most_per_s != self.most_per_s:
            self.most_per_s = most_per_s
            self._go(min(self.per_s, most_per_s), now_s)

    def served(self, now_s: float) -> None:
        """A request went well: somewhat more may be borne."""
        passed_s = min(1.0, max(0.0, now_s - self._seen_s))
        self._seen_s = max(self._seen_s, now_s)
        if self._measure(now_s) < self.per_s / 2:
            return  # Nobody asked for more, so nothing was found out.
        growth = FAST if self.per_s < self._ceiling_per_s * NEAR else SLOW
        self._go(min(self.most_per_s, self.per_s * (1.0 + growth * passed_s)), now_s)

    def refused(self, now_s: float) -> None:
        """The cloud asks for patience."""
        if now_s - self._cut_s < CUT_EVERY_S:
            return
        self._cut_s = self._seen_s = now_s
        sent_per_s = min(self.per_s, max(self._measure(now_s), LEAST_PER_S))
        self._ceiling_per_s = sent_per_s
        self._go(max(LEAST_PER_S, sent_per_s * CUT), now_s)

    def _measure(self, now_s: float) -> float:
        """What was sent in the last whole window, or is sent in this one if that is more."""
        passed_s = now_s - self._window_s
        if passed_s >= WINDOW_S:
            self._measured_per_s = self._sent / passed_s
            self._window_s, self._sent = now_s, 0
        return max(self._measured_per_s, self._sent / WINDOW_S)

    def _go(self, per_s: float, now_s: float) -> None:
        self.per_s = per_s
        self._bucket.reshape(per_s, max(1.0, per_s / 4), now_s)
