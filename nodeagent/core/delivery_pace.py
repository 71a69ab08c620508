"""When a delivery tries again: pauses that grow with full jitter, nodes left alone for a while."""

from dataclasses import dataclass, field
from random import Random

from coordinator.types import NodeId
from nodeagent.core.backoff import delay_s
from nodeagent.core.delivery_words import Patience


@dataclass(slots=True)
class Tries:
    """A count of them that a success takes back."""

    patience: Patience
    rng: Random
    made: int = 0
    next_s: float = 0.0

    @property
    def over(self) -> bool:
        return self.made >= self.patience.tries_max

    def count(self, now_s: float) -> None:
        self.made += 1
        self.next_s = now_s + self.pause_s(self.made)

    def succeeded(self) -> None:
        self.made, self.next_s = 0, 0.0

    def pause_s(self, attempt: int) -> float:
        patience = self.patience
        base_s, most_s = patience.pause_base_s, patience.pause_s_max
        return delay_s(attempt, self.rng, base_s=base_s, delay_s_max=most_s)


@dataclass(slots=True)
class Shunned:
    """Nodes that are not asked again before some time."""

    tries: Tries
    until_s: dict[NodeId, float] = field(default_factory=dict)
    _times: dict[NodeId, int] = field(default_factory=dict)

    def shun(self, node: NodeId, now_s: float, least_s: float = 0.0) -> None:
        times = self._times[node] = self._times.get(node, 0) + 1
        self.until_s[node] = now_s + max(least_s, self.tries.pause_s(times))

    def now(self, now_s: float) -> set[NodeId]:
        self.until_s = {n: until_s for n, until_s in self.until_s.items() if until_s > now_s}
        return set(self.until_s)
