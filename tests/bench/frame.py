"""What a bench is: a function that yields rows, each a figure with its spread and, where the design
promises one, its goal. Nothing is asserted: a goal that is missed is a row that says so.
"""

import math
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

Say = Callable[[str], None]
Bench = Callable[[Say], AsyncIterator["Row"]]
At = Literal["median", "p99", "max", "only"]


class Broken(Exception):
    """A bench cannot go on, and says why; the others can."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound from the design. Figures without one are there to be compared with themselves."""

    bound: float
    most: bool = True  # False: at least so much.

    def met(self, value: float) -> bool:
        return value <= self.bound if self.most else value >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.most else '≥'} {number(self.bound)}"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `value` is None where it was not run, and `how` says what is missing."""

    what: str
    unit: str
    how: str
    value: float | None
    low: float = math.nan
    high: float = math.nan
    count: int = 0
    at: At = "median"
    goal: Goal | None = None
    more_is_better: bool = False

    @property
    def met(self) -> bool | None:
        return None if self.goal is None or self.value is None else self.goal.met(self.value)

    @property
    def figure(self) -> str:
        if self.value is None:
            return "not run"
        mark = "" if self.at in ("median", "only") else f" ({self.at})"
        return f"{number(self.value)} {self.unit}{mark}".strip()

    @property
    def spread(self) -> str:
        return f"{number(self.low)} to {number(self.high)}" if self.count > 1 else ""

    def __str__(self) -> str:
        told = f"{self.what}: {self.figure}"
        if self.spread:
            told += f", {self.spread} in {self.count}"
        if self.goal is not None:
            verdict = {True: "met", False: "MISSED", None: "not run"}[self.met]
            told += f"; goal {self.goal} {self.unit}: {verdict}"
        return told


def row(
    what: str,
    samples: Iterable[float],
    unit: str,
    how: str,
    *,
    at: At = "median",
    goal: Goal | None = None,
    more_is_better: bool = False,
) -> Row:
    """The figure of several runs, with the least and the most of them."""
    found = sorted(samples)
    if not found:
        return not_run(what, unit, f"no sample: {how}", goal=goal)
    value = {"median": median(found), "p99": percentile(found, 0.99), "max": found[-1]}.get(at)
    return Row(
        what,
        unit,
        how,
        found[0] if value is None else value,
        found[0],
        found[-1],
        len(found),
        at,
        goal,
        more_is_better,
    )


def not_run(what: str, unit: str, how: str, *, goal: Goal | None = None) -> Row:
    return Row(what, unit, how, None, goal=goal)


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest rank, so it is a value that was seen; of few samples p99 is the greatest."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def number(value: float) -> str:
    """Three digits that mean something; whole numbers as they are."""
    if not math.isfinite(value) or float(value).is_integer():
        return f"{value:,.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 6)}f}"
