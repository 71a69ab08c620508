"""How many connections data to one peer goes over, found by what they bring together.

Over a long way one connection is held down by every lost packet, and several are not; to a near
peer one is best. So the number is doubled while that brings much more, and halved when half of
them bring as much. Medians of samples taken close to each other are compared, so that neither
noise nor a slow change of the way decides.
"""

from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True, slots=True)
class LaneSettings:
    lanes_max: int = 8
    near_s: float = 0.005  # A round trip below which one connection is never the limit.
    samples: int = 4  # For one judgement.
    gain_min: float = 0.25  # So much more must twice as many bring,
    loss_max: float = 0.10  # and so much less may half as many bring, to be taken.
    rest_min: int = 2  # Judgements between two trials; twice as many after each that failed,
    rest_max: int = 64  # and no more than this.


@dataclass(slots=True)
class Climb:
    """One peer. `sample` for each stretch of time in which data flowed."""

    settings: LaneSettings = field(default_factory=LaneSettings)
    lanes: int = 1
    _samples: list[float] = field(default_factory=list)
    _settled: int = 1
    _settled_bytes_per_s: float = 0.0
    _fresh: bool = False  # The number was just changed: what is under way is of the old one.
    _down: bool = False  # Which way the next trial goes.
    _rest: int = 0
    _rest_next: int = 0

    def sample(self, bytes_per_s: float, streams: int, round_s: float | None) -> int:
        """The number from now on. `streams`: so many at least were open all the while."""
        if round_s is not None and round_s < self.settings.near_s:
            self._go(1)
            self._settled = 1
            return 1
        if streams < self.lanes:
            self._samples.clear()  # Lanes that nobody uses say nothing.
            self._go(self._settled)
            return self.lanes
        if self._fresh:
            self._fresh = False
            return self.lanes
        self._samples.append(bytes_per_s)
        if len(self._samples) >= self.settings.samples:
            found = median(self._samples)
            self._samples.clear()
            self._judge(found, streams)
        return self.lanes

    def _judge(self, found: float, streams: int) -> None:
        if self.lanes == self._settled:
            self._settled_bytes_per_s = found
            self._rest -= 1
        elif self._pays(found):
            self._settled, self._settled_bytes_per_s = self.lanes, found
            self._rest = self._rest_next = 0  # The same way again.
        else:
            self._go(self._settled)
            self._down = not self._down
            doubled = max(self.settings.rest_min, 2 * self._rest_next)
            self._rest = self._rest_next = min(self.settings.rest_max, doubled)
            return
        if self._rest <= 0:
            self._try(streams)

    def _pays(self, found: float) -> bool:
        if self.lanes > self._settled:
            return found >= self._settled_bytes_per_s * (1 + self.settings.gain_min)
        return found >= self._settled_bytes_per_s * (1 - self.settings.loss_max)

    def _try(self, streams: int) -> None:
        more = min(2 * self._settled, self.settings.lanes_max, streams)
        if not self._down and more == self._settled:
            self._down = True
        if self._down and self._settled == 1:
            self._down = False
        self._go(self._settled // 2 if self._down else more)

    def _go(self, lanes: int) -> None:
        if lanes != self.lanes:
            self.lanes, self._fresh = lanes, True
            self._samples.clear()
