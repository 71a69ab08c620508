"""Circuit breakers: whoever fails again and again is left alone for a while, then tried once.

One for each peer and endpoint. Clock and chance are arguments.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from random import Random

from nodeagent.core.backoff import delay_s


class State(Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"  # One try is under way, or due.


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    failures: int = 3  # In a row, until it opens.
    open_s: float = 1.0  # The first time; doubled with each trial that failed.
    open_s_max: float = 60.0


DEFAULTS = BreakerSettings()


@dataclass(slots=True)
class Breaker:
    settings: BreakerSettings = DEFAULTS
    why: str = ""  # The last failure.
    _failures: int = 0
    _opened: int = 0  # Times since it last closed.
    _until_s: float = 0.0
    _trial_until_s: float = 0.0

    def state(self, now_s: float) -> State:
        if not self._opened:
            return State.CLOSED
        return State.OPEN if now_s < self._until_s else State.HALF_OPEN

    def again_s(self, now_s: float) -> float:
        """Until it may be tried again; 0 when it may."""
        return max(0.0, self._until_s - now_s) if self._opened else 0.0

    def allows(self, now_s: float) -> bool:
        """Whether it may be used now. In the half-open state that is one trial at a time."""
        match self.state(now_s):
            case State.CLOSED:
                return True
            case State.OPEN:
                return False
        return now_s >= self._trial_until_s

    def tries(self, now_s: float) -> None:
        """It is used now. A trial of which nothing is heard does not bar others for ever."""
        if self.state(now_s) is State.HALF_OPEN:
            self._trial_until_s = now_s + self.settings.open_s_max

    def succeeded(self) -> None:
        self._failures = self._opened = 0
        self._until_s = self._trial_until_s = 0.0
        self.why = ""

    def failed(self, why: str, now_s: float, rng: Random) -> None:
        """Half of the pause is drawn: those who left together come back apart."""
        self.why = why
        if self.state(now_s) is State.OPEN:
            return  # What was under way when it opened tells nothing new.
        self._failures += 1
        if self._opened or self._failures >= self.settings.failures:
            most_s = self.settings.open_s_max
            bound_s = min(most_s, self.settings.open_s * 2.0 ** min(self._opened, 64))
            drawn_s = delay_s(0, rng, base_s=bound_s, delay_s_max=bound_s)
            self._until_s = now_s + (bound_s + drawn_s) / 2
            self._opened += 1
            self._trial_until_s = 0.0


@dataclass(slots=True)
class Breakers:
    """By a name: a node, or the endpoint of a source."""

    settings: BreakerSettings = DEFAULTS
    of: dict[str, Breaker] = field(default_factory=dict)

    def succeeded(self, name: str) -> None:
        self.of.pop(name, None)

    def failed(self, name: str, why: str, now_s: float, rng: Random) -> None:
        self.of.setdefault(name, Breaker(self.settings)).failed(why, now_s, rng)

    def allows(self, name: str, now_s: float) -> bool:
        breaker = self.of.get(name)
        return breaker is None or breaker.allows(now_s)

    def tries(self, name: str, now_s: float) -> None:
        if name in self.of:
            self.of[name].tries(now_s)

    def unfit(self, now_s: float) -> Mapping[str, str]:
        """Who may not be used now, and why."""
        return {
            name: f"it failed again and again ({breaker.why}) and is left alone for a moment"
            for name, breaker in list(self.of.items())
            if not breaker.allows(now_s)
        }

    def states(self, now_s: float) -> Mapping[str, State]:
        return {name: breaker.state(now_s) for name, breaker in list(self.of.items())}


@dataclass(slots=True)
class RetryBudget:
    """How many tries anew there may be beside what goes well: a storm of retries helps nobody."""

    share: float = 0.2  # Of a token, for each success.
    most: float = 10.0
    tokens: float = 10.0
    retries: int = 0
    refused: int = 0

    def succeeded(self) -> None:
        self.tokens = min(self.most, self.tokens + self.share)

    def take(self) -> bool:
        """Whether one more try may be made."""
        if self.tokens < 1.0:
            self.refused += 1
            return False
        self.tokens -= 1.0
        self.retries += 1
        return True
