"""Matrices of round-trip times: read from a file, cut to some nodes, or made by a seed."""

import csv
import gzip
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import add
from pathlib import Path
from random import Random

# What the column of times is called in the matrices that are around; the first that is there.
COLUMNS = ("rtt_min_ms", "rtt_median_ms", "rtt_median_4h_ms", "tcp_p50_ms", "rtt_ms")
PAIRS_MAX = 1_000_000


@dataclass(frozen=True)
class Matrix:
    """Names, and the time of each pair (i < j) that is known; the lesser of both directions."""

    names: tuple[str, ...]
    ms: Mapping[tuple[int, int], float]

    def of(self, a: int, b: int) -> float | None:
        return self.ms.get((min(a, b), max(a, b)))

    def detour_share(self, shorter: float = 0.1) -> float:
        """The part of the pairs with a way over a third node that is shorter by so much."""
        nodes = range(len(self.names))
        rows = [[self.of(a, b) or math.inf for b in nodes] for a in nodes]
        found = sum(
            min(map(add, rows[a], rows[b])) < ms * (1 - shorter) for (a, b), ms in self.ms.items()
        )
        return found / len(self.ms)

    def some(self, count: int, rng: Random) -> "Matrix":
        """So many of its nodes, by lot."""
        chosen = sorted(rng.sample(range(len(self.names)), min(count, len(self.names))))
        place = {old: new for new, old in enumerate(chosen)}
        ms = {(place[a], place[b]): t for (a, b), t in self.ms.items() if {a, b} <= place.keys()}
        return Matrix(tuple(self.names[old] for old in chosen), ms)


def read(path: Path) -> Matrix:
    """A CSV file, plain or gzipped, with columns src, dst and one of COLUMNS."""
    unpacked = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return _matrix(csv.DictReader(unpacked.decode().splitlines()), path)


def _matrix(rows: "csv.DictReader[str]", path: Path) -> Matrix:
    column = next((name for name in COLUMNS if name in (rows.fieldnames or ())), None)
    if column is None or not {"src", "dst"} <= set(rows.fieldnames or ()):
        raise ValueError(f"{path}: needs columns src, dst and one of {', '.join(COLUMNS)}")
    least: dict[tuple[str, str], float] = {}
    for row in rows:
        ends, ms = (row["src"], row["dst"]), float(row[column])
        pair = (min(ends), max(ends))
        if pair[0] != pair[1] and ms > 0:
            least[pair] = min(ms, least.get(pair, ms))
        if len(least) > PAIRS_MAX:
            raise ValueError(f"{path}: more than {PAIRS_MAX} pairs")
    names = tuple(sorted({name for pair in least for name in pair}))
    number = {name: index for index, name in enumerate(names)}
    return Matrix(names, {(number[a], number[b]): ms for (a, b), ms in least.items()})


def synthetic(count: int, rng: Random) -> Matrix:
    """A world of cities on a plane: light in glass, detours of up to a third, last miles."""
    cities = [(rng.uniform(0, 120), rng.uniform(0, 60)) for _ in range(max(2, count // 3))]
    homes = [rng.choice(cities) for _ in range(count)]
    mile_ms = [rng.uniform(0.2, 3.0) for _ in range(count)]
    ms = {
        (a, b): math.dist(homes[a], homes[b]) * rng.uniform(1.0, 1.3) + mile_ms[a] + mile_ms[b]
        for a, b in _pairs(count)
    }
    return Matrix(tuple(f"n{number}" for number in range(count)), ms)


def _pairs(count: int) -> Iterator[tuple[int, int]]:
    return ((a, b) for a in range(count) for b in range(a + 1, count))
