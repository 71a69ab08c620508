"""How far one peer is, and apart from that how long it lets work wait. Values of the world come in
as figures; what cannot be true is left out, and what is late is never taken for distance.
"""

from collections import deque
from dataclasses import dataclass, field
from math import isfinite
from statistics import median
from typing import Literal

Judge = Literal["kernel", "application"]  # Whose figure is the truth.
NEVER_S = float("-inf")


@dataclass(frozen=True, slots=True)
class LatencySettings:
    """The knobs of measuring, with the reason for each value."""

    rtt_ms_max: float = 10_000.0  # More is no distance on this planet.
    lag_ms_max: float = 5.0  # A loop that is later than this has measured itself.
    lag_share_max: float = 0.2  # Or later than this part of what it measured,
    lag_ms_min: float = 1.0  # but no loop is more punctual than this.
    samples: int = 10  # The least of so many: a busy loop only ever adds.
    sample_s_max: float = 900.0  # An older one tells of another network.
    kernel_readings: int = 3  # Each is already the least of the kernel's own 300 s.
    kernel_s_max: float = 60.0
    # The application's figure may be above the kernel's by so much. More, and something between
    # ends the connection, so the kernel sees only the way to it.
    apart_share: float = 0.25
    apart_ms: float = 2.0
    service_gain: float = 0.2
    places_max: int = 64  # That a node publishes,
    publish_samples: int = 3  # of so many samples at least: one alone may be late.
    publish_share: float = 0.05  # A smaller change is not news; half of the goal for accuracy.
    publish_ms: float = 1.0
    far_s: float = 60.0  # A region measured within this time needs no probe of its own.
    far_probes: int = 3  # In a row to one node, so that it is told.
    peers_max: int = 1024  # The one heard longest ago gives way.


@dataclass(frozen=True, slots=True)
class Stamps:
    """One probe and its answer. Times of two clocks never meet: each is a span of one clock."""

    sent_s: float  # The asking node's clock, as the other three here.
    received_s: float
    held_s: float = 0.0  # By the clock of the one that answered: from arrival to departure.
    lag_here_s: float = 0.0  # How late the loops were.
    lag_there_s: float = 0.0

    def rtt_ms(self, settings: LatencySettings) -> float | None:
        """The way there and back alone; None where lateness would be taken for distance."""
        rtt_ms = (self.received_s - self.sent_s - self.held_s) * 1000
        lag_ms = max(self.lag_here_s, self.lag_there_s) * 1000
        allowed_ms = max(settings.lag_ms_min, rtt_ms * settings.lag_share_max)
        if not _plausible(rtt_ms, settings) or not self.held_s >= 0:
            return None
        return rtt_ms if lag_ms <= min(settings.lag_ms_max, allowed_ms) else None

    @property
    def service_ms(self) -> float:
        """What the other side added: held and late."""
        return max(0.0, self.held_s + self.lag_there_s) * 1000


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of one peer's distance now."""

    ms: float
    jitter_ms: float
    service_ms: float  # Never part of `ms`.
    judge: Judge
    samples: int
    age_s: float  # Of the newest sample.


@dataclass(slots=True)
class Window:
    """The last few figures, none older than a limit."""

    length: int
    s_max: float
    values: deque[tuple[float, float]] = field(init=False)  # (when, figure)

    def __post_init__(self) -> None:
        self.values = deque(maxlen=self.length)

    def add(self, figure: float, now_s: float) -> None:
        self.values.append((now_s, figure))

    def fresh(self, now_s: float) -> list[float]:
        return [figure for at_s, figure in self.values if now_s - at_s <= self.s_max]


class Distance:
    """One peer's."""

    def __init__(self, settings: LatencySettings) -> None:
        self._settings = settings
        self._samples = Window(settings.samples, settings.sample_s_max)
        self._kernel = Window(settings.kernel_readings, settings.kernel_s_max)
        self._service_ms: float | None = None
        self.heard_s = NEVER_S

    def sample(self, rtt_ms: float, now_s: float) -> bool:
        """Takes a round trip that the application measured, unless it cannot be one."""
        if not _plausible(rtt_ms, self._settings):
            return False
        self._samples.add(rtt_ms, now_s)
        self.heard_s = now_s
        return True

    def kernel(self, min_rtt_ms: float, now_s: float) -> bool:
        if not _plausible(min_rtt_ms, self._settings):
            return False
        self._kernel.add(min_rtt_ms, now_s)
        return True

    def service(self, ms: float) -> None:
        if not (isfinite(ms) and ms >= 0):
            return
        before = ms if self._service_ms is None else self._service_ms
        self._service_ms = before + (ms - before) * self._settings.service_gain

    def measured(self, now_s: float) -> Measured | None:
        """None while no sample is fresh: the kernel alone cannot tell a peer from a proxy."""
        samples = self._samples.fresh(now_s)
        if not samples:
            return None
        base_ms, judge = self._judged(min(samples), self._kernel.fresh(now_s))
        return Measured(
            ms=base_ms,
            jitter_ms=median(samples) - min(samples),
            service_ms=self._service_ms or 0.0,
            judge=judge,
            samples=len(samples),
            age_s=now_s - self.heard_s,
        )

    def _judged(self, application_ms: float, readings: list[float]) -> tuple[float, Judge]:
        """Both only ever err upwards, so the lesser is nearer, unless they speak of two ways."""
        kernel_ms = min(readings, default=application_ms)
        near_ms = kernel_ms * (1 + self._settings.apart_share) + self._settings.apart_ms
        if kernel_ms < application_ms <= near_ms:
            return kernel_ms, "kernel"
        return application_ms, "application"


def _plausible(ms: float, settings: LatencySettings) -> bool:
    """Also False for what is no number."""
    return 0 < ms <= settings.rtt_ms_max
