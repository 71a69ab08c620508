"""Samples of figures become history in three grains: fine for an hour, coarse for a month."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

SERIES_MAX = 128  # 14 bytes each a row: all grains together stay under 100 MB.


@dataclass(frozen=True, slots=True)
class Grain:
    step_s: int
    keep_s: int


GRAINS = (Grain(1, 3600), Grain(10, 86_400), Grain(60, 30 * 86_400))


@dataclass(frozen=True, slots=True)
class Spread:
    """What a figure was within a time."""

    least: float
    mean: float
    most: float


@dataclass(frozen=True, slots=True)
class Row:
    """All figures of one step of one grain."""

    step_s: int
    unix_s: int
    values: Mapping[str, Spread]


@dataclass(slots=True)
class _Sum:
    least: float
    most: float
    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        self.least, self.most = min(self.least, value), max(self.most, value)
        self.total += value
        self.count += 1


@dataclass(slots=True)
class Rollup:
    """One step of each grain is open; one that is over becomes a row."""

    _open: dict[int, tuple[int, dict[str, _Sum]]] = field(default_factory=dict)

    def add(self, unix_s: int, values: Mapping[str, float]) -> list[Row]:
        """A clock that was set back begins a step again, which replaces the older row."""
        over: list[Row] = []
        for grain in GRAINS:
            begins = unix_s - unix_s % grain.step_s
            begun, sums = self._open.get(grain.step_s, (begins, {}))
            if begun != begins:
                over.append(_row(grain.step_s, begun, sums))
                sums = {}
            for name, value in values.items():
                if name not in sums:
                    sums[name] = _Sum(value, value)
                sums[name].add(value)
            self._open[grain.step_s] = begins, sums
        return over

    def rest(self) -> list[Row]:
        """What is open, as far as it goes; nothing is forgotten."""
        return [_row(step_s, begun, sums) for step_s, (begun, sums) in self._open.items()]


def grain_for(from_unix_s: int, until_unix_s: int, now_unix_s: int, points_max: int) -> Grain:
    """The finest that reaches back so far and gives no more points than asked for."""
    reaching = [g for g in GRAINS if now_unix_s - from_unix_s <= g.keep_s] or [GRAINS[-1]]
    span_s = until_unix_s - from_unix_s
    return next((g for g in reaching if span_s <= g.step_s * points_max), reaching[-1])


def thinned(
    points: Iterable[tuple[int, Spread]], from_unix_s: int, until_unix_s: int, points_max: int
) -> list[tuple[int, Spread]]:
    """At most so many, each the sum of its neighbours."""
    width_s = max(1, -(-(until_unix_s - from_unix_s) // points_max))
    found: dict[int, list[Spread]] = {}
    for unix_s, spread in points:
        found.setdefault((unix_s - from_unix_s) // width_s, []).append(spread)
    return [
        (
            from_unix_s + at * width_s,
            Spread(
                min(one.least for one in some),
                sum(one.mean for one in some) / len(some),
                max(one.most for one in some),
            ),
        )
        for at, some in sorted(found.items())
    ]


def _row(step_s: int, unix_s: int, sums: Mapping[str, _Sum]) -> Row:
    values = {name: Spread(s.least, s.total / s.count, s.most) for name, s in sums.items()}
    return Row(step_s, unix_s, values)
