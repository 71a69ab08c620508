"""Token buckets: who may do how much, decided without a clock.

One bucket, and a bounded set of them by key.
"""

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(slots=True)
class TokenBucket:
    """Gives `rate_per_s` tokens, and up to `burst` at once after a pause. It starts full."""

    rate_per_s: float
    burst: float
    tokens: float
    filled_s: float

    @classmethod
    def full(cls, rate_per_s: float, burst: float, now_s: float) -> "TokenBucket":
        assert rate_per_s > 0
        assert burst > 0
        return cls(rate_per_s, burst, burst, now_s)

    def take(self, now_s: float, tokens: float = 1.0) -> float:
        """0.0 when the tokens were taken; otherwise none was, and the seconds to wait for them.

        More than `burst` can never be had at once: that is a fault of the caller.
        """
        assert 0 < tokens <= self.burst
        self._fill(now_s)
        if self.tokens >= tokens:
            self.tokens -= tokens
            return 0.0
        return (tokens - self.tokens) / self.rate_per_s

    def reshape(self, rate_per_s: float, burst: float, now_s: float) -> None:
        """New limits from now on, after a reload; what was saved up is kept as far as it fits."""
        self._fill(now_s)
        self.rate_per_s, self.burst = rate_per_s, burst
        self.tokens = min(self.tokens, burst)

    def _fill(self, now_s: float) -> None:
        if now_s <= self.filled_s:  # A clock that stands or goes back gives nothing.
            return
        self.tokens = min(self.burst, self.tokens + (now_s - self.filled_s) * self.rate_per_s)
        self.filled_s = now_s


class Buckets:
    """One bucket per key, at most `keys_max` of them; the one unused for longest makes room.

    A forgotten key starts full again, so `keys_max` must exceed the keys that
    can be busy within burst / rate seconds.
    """

    def __init__(self, rate_per_s: float, burst: float, keys_max: int) -> None:
        assert keys_max > 0
        self.rate_per_s = rate_per_s
        self.burst = burst
        self.keys_max = keys_max
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str, now_s: float, tokens: float = 1.0) -> float:
        """As `TokenBucket.take`, from the bucket of `key`."""
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= self.keys_max:
                self._buckets.popitem(last=False)
            bucket = TokenBucket.full(self.rate_per_s, self.burst, now_s)
            self._buckets[key] = bucket
        else:
            self._buckets.move_to_end(key)
        return bucket.take(now_s, tokens)

    def reshape(self, rate_per_s: float, burst: float, now_s: float) -> None:
        self.rate_per_s, self.burst = rate_per_s, burst
        for bucket in self._buckets.values():
            bucket.reshape(rate_per_s, burst, now_s)
