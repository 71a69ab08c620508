"""How long a peer takes to begin an answer, and so when asking the next one beside it pays."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

SAMPLES = 32
ENOUGH = 8  # Fewer say nothing of a p95.
FIRST_GUESS_S = 0.5
LEAST_S, MOST_S = 0.02, 5.0
PEERS_MAX = 1024


@dataclass(slots=True)
class Paces:
    _of: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict)

    def took(self, peer: str, seconds: float) -> None:
        self._of.setdefault(peer, deque(maxlen=SAMPLES)).append(seconds)
        self._of.move_to_end(peer)
        if len(self._of) > PEERS_MAX:
            self._of.popitem(last=False)

    def patience_s(self, peer: str) -> float:
        """Its p95 of late, within bounds."""
        samples = sorted(self._of.get(peer, ()))
        if len(samples) < ENOUGH:
            return FIRST_GUESS_S
        return min(MOST_S, max(LEAST_S, samples[int(0.95 * (len(samples) - 1))]))
