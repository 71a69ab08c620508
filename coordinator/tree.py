"""The cheapest way to bring bytes from a source to some targets that pass them on.

Every tree is tried: there are 16 over three targets, 125 over four. Dollars decide, then
the number of borders between clouds that are crossed, then time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Protocol

from coordinator.types import Domain

ROOT = 0
TARGETS_MAX = 4
Row = Sequence[float]


class Costs(Protocol):
    """What an edge costs. `Prices` is one."""

    def usd_per_gb(self, a: Domain, b: Domain) -> float: ...


RttMs = Callable[[Domain, Domain], float]


@dataclass(frozen=True, slots=True)
class Edge:
    source: str
    target: str
    usd_per_gb: float
    ms: float


@dataclass(frozen=True, slots=True)
class Tree:
    """`parents[i]` feeds target i; 0 is the source and j stands for target j - 1."""

    parents: tuple[int, ...]
    usd_per_gb: float
    crossings: int  # Borders between clouds.
    ms: float  # Round trips along the longest path.
    edge_ms_max: float


@dataclass(frozen=True, slots=True)
class Distances:
    """Dollars and milliseconds between places; row and column 0 are the source's."""

    usd: Sequence[Row]
    ms: Sequence[Row]
    clouds: Sequence[str]

    @classmethod
    def between(cls, domains: Sequence[Domain], costs: Costs, rtt_ms: RttMs) -> "Distances":
        usd = [[costs.usd_per_gb(a, b) for b in domains] for a in domains]
        ms = [[rtt_ms(a, b) for b in domains] for a in domains]
        return cls(usd, ms, [d.cloud for d in domains])


@cache
def shapes(targets: int) -> tuple[tuple[int, ...], ...]:
    """The parents of every spanning tree that has the source as its root."""
    assert targets <= TARGETS_MAX
    every = product(range(targets + 1), repeat=targets)
    return tuple(parents for parents in every if _reaches_root(parents))


def _reaches_root(parents: tuple[int, ...]) -> bool:
    for start in range(len(parents)):
        at = start + 1
        for _ in parents:
            at = parents[at - 1] if at != ROOT else ROOT
        if at != ROOT:
            return False
    return True


def cheapest(distances: Distances, places: Sequence[int]) -> Tree:
    """The best tree from the source to the targets at these indices."""
    nodes = (ROOT, *places)
    usd = [[distances.usd[a][b] for b in places] for a in nodes]
    # Prices are sums of decimal fractions: what differs by less than a nano-dollar is equal.
    costs = [
        (round(sum([usd[p][i] for i, p in enumerate(parents)]), 9), parents)
        for parents in shapes(len(places))
    ]
    least = min(costs)[0]
    return min(
        (_tree(distances, nodes, parents, cost) for cost, parents in costs if cost == least),
        key=lambda tree: (tree.crossings, tree.ms, tree.parents),
    )


def _tree(
    distances: Distances, nodes: tuple[int, ...], parents: tuple[int, ...], usd: float
) -> Tree:
    clouds = [distances.clouds[n] for n in nodes]
    edges = [distances.ms[nodes[p]][nodes[i + 1]] for i, p in enumerate(parents)]
    longest = max((_path_ms(parents, edges, i + 1) for i in range(len(parents))), default=0.0)
    crossings = sum(clouds[p] != clouds[i + 1] for i, p in enumerate(parents))
    return Tree(parents, usd, crossings, longest, max(edges, default=0.0))


def _path_ms(parents: tuple[int, ...], edges: Sequence[float], at: int) -> float:
    ms = 0.0
    while at != ROOT:
        ms += edges[at - 1]
        at = parents[at - 1]
    return ms
