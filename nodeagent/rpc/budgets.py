"""Token buckets per identity, by the loop's clock: the budget that the guard takes calls from."""

import time
from dataclasses import dataclass

from nodeagent.core.bucket import Buckets


@dataclass(slots=True)
class Budgets:
    buckets: Buckets

    def take(self, key: str) -> float:
        return self.buckets.take(key, time.monotonic())

    def reshape(self, per_s: float, burst: float) -> None:
        self.buckets.reshape(per_s, burst, time.monotonic())
