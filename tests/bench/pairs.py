"""Ours and its floors in one run, one after the other and round by round, so that whatever else the
machine does falls on all alike; the figure with the goal is the median of the rounds' ratios.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.bench import cost
from tests.bench.frame import Goal, Row, Say, row

MIB, GIB = 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True)
class Took:
    """One run: how many bytes in which time, at what price."""

    size_bytes: int
    seconds: float
    cpu_s: float = 0.0

    @property
    def mib_s(self) -> float:
        return self.size_bytes / MIB / self.seconds

    @property
    def cpu_s_gib(self) -> float:
        return self.cpu_s * GIB / self.size_bytes


@dataclass(frozen=True)
class Leg:
    """One of those that are compared. `tidy` is not timed."""

    name: str
    how: str
    run: Callable[[], Awaitable[Took]]
    tidy: Callable[[], Awaitable[None]] | None = None


@dataclass
class Runs:
    took: dict[str, list[Took]] = field(default_factory=dict)

    def ratios(self, ours: str, floor: str) -> list[float]:
        pairs = zip(self.took[ours], self.took[floor], strict=True)
        return [mine.mib_s / other.mib_s for mine, other in pairs]


async def interleaved(legs: Sequence[Leg], rounds: int, say: Say) -> Runs:
    """A round of all that does not count, for what is cold; then those that do."""
    runs = Runs({leg.name: [] for leg in legs})
    for number in range(rounds + 1):
        for leg in legs:
            await asyncio.to_thread(os.sync)  # Nobody pays for what another has left to write.
            took = await leg.run()
            if number:
                runs.took[leg.name].append(took)
            if leg.tidy:
                await leg.tidy()
        told = (f"{leg.name} {runs.took[leg.name][-1].mib_s:.0f}" for leg in legs if number)
        say(f"round {number} of {rounds}: {', '.join(told) or 'warm'} MiB/s")
    return runs


def leg_rows(runs: Runs, legs: Sequence[Leg]) -> Iterator[Row]:
    """Speed of each, and what it cost: of floors as well, to compare with."""
    for leg in legs:
        took = runs.took[leg.name]
        speeds = [one.mib_s for one in took]
        yield row(leg.name, speeds, "MiB/s", leg.how, more_is_better=True)
        if any(one.cpu_s for one in took):
            used = [one.cpu_s_gib for one in took]
            yield row(f"{leg.name}, processor", used, "s/GiB", "of all its processes together")
            busy = [one.cpu_s / one.seconds for one in took]
            how = "all that the machine has: the processor is the limit; fewer: waiting, or others"
            yield row(f"{leg.name}, cores kept busy", busy, "", how)


def ratio_row(runs: Runs, ours: str, floor: str, bound: float | None = None) -> Row:
    goal = None if bound is None else Goal(bound, most=False)
    how = "round by round"
    found = runs.ratios(ours, floor)
    return row(f"{ours} / {floor}", found, "", how, goal=goal, more_is_better=True)


async def costing(
    pids: Sequence[int], size_bytes: int, work: Callable[[], Awaitable[float]]
) -> Took:
    """`work` returns its seconds; the processes are those that it makes busy."""
    before_s = sum(cost.cpu_s(pid) for pid in pids)
    took_s = await work()
    return Took(size_bytes, took_s, sum(cost.cpu_s(pid) for pid in pids) - before_s)


def peak_rows(peaks_mib: Mapping[str, float], how: str, goal: Goal | None = None) -> Iterator[Row]:
    for who, mib in peaks_mib.items():
        yield row(f"{who}, peak memory", [mib], "MiB", how, at="max", goal=goal)
