"""Vivaldi: a place for this node in a space whose distances are round-trip times, learnt sample by
sample, so that pairs which nobody measured can be estimated. Same samples, same coordinate.

Dabek, Cox, Kaashoek, Morris (SIGCOMM 2004), with the adjustment term and the least-of-a-few filter
of later work.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, dist, isfinite, sqrt
from random import Random

from coordinator.types import Coordinate, NodeId


@dataclass(frozen=True, slots=True)
class VivaldiSettings:
    """The knobs of the embedding, with the reason for each value."""

    dimensions: int = 8  # Cloud networks are no plane: three cost a fifth of the accuracy.
    height_ms_min: float = 0.01
    gain: float = 0.25  # Quick until a place is found,
    gain_samples: int = 200
    gain_min: float = 0.05  # then steady: a fifth of the drift.
    error_gain: float = 0.25
    error_max: float = 1.5
    error_lost: float = 0.4  # Above it the place is lost and searched anew, quickly.
    adjustment_samples: int = 20
    filter_samples: int = 5  # Of one peer; the least of them counts.
    peers_max: int = 1024
    rtt_ms_max: float = 10_000.0

    @property
    def settled_samples(self) -> int:
        """After so many the gain has fallen to its least."""
        return ceil(self.gain_samples * self.gain / self.gain_min)


def estimate_ms(a: Coordinate, b: Coordinate) -> float:
    """The round trip between two places."""
    straight_ms = _straight_ms(a, b)
    adjusted_ms = straight_ms + a.adjustment_ms + b.adjustment_ms
    return adjusted_ms if adjusted_ms > 0 else straight_ms


def usable(coordinate: Coordinate, settings: VivaldiSettings) -> bool:
    """Whether it is one of this space. What a peer sends is not yet."""
    numbers = (*coordinate.position, coordinate.height_ms, coordinate.adjustment_ms)
    return (
        len(coordinate.position) == settings.dimensions
        and all(abs(number) <= settings.rtt_ms_max for number in numbers)  # False for NaN.
        and coordinate.height_ms >= 0
        and 0 <= coordinate.error <= settings.error_max
    )


class Vivaldi:
    """This node's coordinate."""

    def __init__(
        self,
        rng: Random,
        saved: Coordinate | None = None,
        settings: VivaldiSettings | None = None,
    ) -> None:
        self._rng = rng
        self._settings = settings or VivaldiSettings()
        self._seen: OrderedDict[NodeId, deque[float]] = OrderedDict()
        self._samples = 0
        self._restart()
        if saved is not None and usable(saved, self._settings):
            self.coordinate = saved
            if saved.error < self._settings.error_lost:
                self._samples = self._settings.settled_samples

    def observe(self, peer: NodeId, other: Coordinate, rtt_ms: float) -> bool:
        """Moves a step towards where the samples agree; False where this one is worth nothing."""
        settings = self._settings
        if not 0 < rtt_ms <= settings.rtt_ms_max or not usable(other, settings):
            return False
        filtered_ms = self._filtered_ms(peer, rtt_ms)
        self._samples += 1
        moved = self._moved(other, filtered_ms)
        if not usable(moved, settings):
            self._restart()
            return False
        self.coordinate = moved
        if moved.error >= settings.error_lost and self._samples > settings.gain_samples:
            self._samples = 0
        return True

    def forget(self, peer: NodeId) -> None:
        self._seen.pop(peer, None)

    def _restart(self) -> None:
        settings = self._settings
        origin = (0.0,) * settings.dimensions
        self.coordinate = Coordinate(origin, settings.height_ms_min, settings.error_max)
        self._residuals: deque[float] = deque(maxlen=settings.adjustment_samples)
        self._samples = 0

    def _filtered_ms(self, peer: NodeId, rtt_ms: float) -> float:
        window = self._seen.pop(peer, None) or deque(maxlen=self._settings.filter_samples)
        self._seen[peer] = window
        if len(self._seen) > self._settings.peers_max:
            self._seen.popitem(last=False)
        window.append(rtt_ms)
        return min(window)

    def _gain(self) -> float:
        settings = self._settings
        share = settings.gain_samples / max(self._samples, settings.gain_samples)
        return max(settings.gain_min, settings.gain * share)

    def _moved(self, other: Coordinate, rtt_ms: float) -> Coordinate:
        own, settings = self.coordinate, self._settings
        told_ms = estimate_ms(own, other)
        both = own.error + other.error
        weight = own.error / both if both > 0 else 0.5
        # By the greater of the two: neighbours a millisecond apart would else drown all others.
        wrong = abs(told_ms - rtt_ms) / max(told_ms, rtt_ms)
        error_weight = settings.error_gain * weight
        error = min(settings.error_max, wrong * error_weight + own.error * (1 - error_weight))
        force_ms = self._gain() * weight * (rtt_ms - told_ms)
        direction, apart_ms = self._direction(own.position, other.position)
        # The way consists of the straight part and both heights; each takes its share of the step.
        lift = 1 - apart_ms / _straight_ms(own, other) if apart_ms > 0 else 0.0
        step_ms = force_ms * (1 - lift)
        moved = Coordinate(
            position=tuple(x + u * step_ms for x, u in zip(own.position, direction, strict=True)),
            height_ms=max(own.height_ms + force_ms * lift, settings.height_ms_min),
            error=error,
        )
        return self._adjusted(moved, other, rtt_ms)

    def _adjusted(self, moved: Coordinate, other: Coordinate, rtt_ms: float) -> Coordinate:
        """Half of what this node's estimates are usually off by; the other half is the peer's."""
        self._residuals.append(rtt_ms - _straight_ms(moved, other))
        adjustment_ms = sum(self._residuals) / (2 * self._settings.adjustment_samples)
        return Coordinate(moved.position, moved.height_ms, moved.error, adjustment_ms)

    def _direction(
        self, own: Sequence[float], other: Sequence[float]
    ) -> tuple[Sequence[float], float]:
        """From the other one to here, of length 1; by chance where both stand on one point."""
        apart_ms = dist(own, other)
        if apart_ms > 0:
            unit = [(a - b) / apart_ms for a, b in zip(own, other, strict=True)]
            if all(map(isfinite, unit)):
                return unit, apart_ms
        drawn = [self._rng.gauss(0.0, 1.0) for _ in own]
        length = sqrt(sum(x * x for x in drawn)) or 1.0
        return [x / length for x in drawn], 0.0


def _straight_ms(a: Coordinate, b: Coordinate) -> float:
    return dist(a.position, b.position) + a.height_ms + b.height_ms
