"""How evenly, how cheaply and how safely placement chooses, beside plain weighted rendezvous.

    python -m tests.bench.placement [--nodes 6 60 200] [--seed S] [--write]

Made-up clusters of unequal disks in listed regions are filled with chunks from nodes drawn at
random, until the first node is full. `--write` puts the tables into docs/benchmarks.md.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import fmean

from coordinator.policy import Level
from coordinator.prices import GB
from tests.bench import tables
from tests.bench.filling import CHUNK_BYTES, Cluster, Filled, fill, make, possible_use
from tests.bench.plain import elected as plainly_elected
from tests.bench.upkeep import Upkeep, keep_up

USE_GOAL = 0.95
MS_GOAL = 5.0


@dataclass(frozen=True)
class Result:
    cluster: Cluster
    ours: Filled
    plain: Filled
    upkeep: Upkeep

    @property
    def possible(self) -> float:
        return possible_use(self.cluster)

    @property
    def good(self) -> bool:
        return self.ours.use >= USE_GOAL * self.possible


def evaluate(nodes: int, seed: int) -> Result:
    cluster = make(nodes, seed)
    ours = fill(cluster, seed)
    return Result(cluster, ours, fill(cluster, seed, plainly_elected), keep_up(ours, seed))


def balance(results: Sequence[Result]) -> str:
    columns = (
        *("nodes", "zones", "chunks", "used when the first node is full", "plain rendezvous"),
        "the rules allow",
    )
    rows = [
        (
            str(len(r.cluster.members)),
            str(len({m.site(Level.ZONE) for m in r.cluster.standing})),
            str(len(r.ours.placed)),
            f"**{r.ours.use:.1%}**",
            f"{r.plain.use:.1%}",
            f"{r.possible:.1%}",
            "yes" if r.good else "no",
        )
        for r in results
    ]
    return tables.table((*columns, f"goal: {USE_GOAL:.0%} of that"), rows)


def cost(results: Sequence[Result]) -> str:
    columns = (
        *("nodes", "$/GB by the tree", "by a star to the same nodes", "plain rendezvous, star"),
        *("crossings per remote cloud", "star"),
    )
    rows = [
        (
            str(len(r.cluster.members)),
            f"**{fmean(p.tree_usd for p in r.ours.placed):.3f}**",
            f"{fmean(p.star_usd for p in r.ours.placed):.3f}",
            f"{fmean(p.star_usd for p in r.plain.placed):.3f}",
            f"**{_crossings([p.tree_crossings for p in r.ours.placed], r.ours):.2f}**",
            f"{_crossings([p.star_crossings for p in r.ours.placed], r.ours):.2f}",
        )
        for r in results
    ]
    return tables.table(columns, rows)


def _crossings(crossings: list[int], filled: Filled) -> float:
    return sum(crossings) / max(1, sum(p.remote_clouds for p in filled.placed))


def safety(results: Sequence[Result]) -> str:
    columns = (
        *("nodes", "chunks lost with any zone", "any region", "any cloud", "any 2 nodes"),
        "chance that 3 nodes at once hold all copies of a chunk",
    )
    rows = []
    for r in results:
        lost = [str(r.ours.lost_with(level)) for level in (Level.ZONE, Level.REGION, Level.CLOUD)]
        copysets = len({frozenset(p.nodes) for p in r.ours.placed})
        chance = copysets / comb(len(r.cluster.members), 3)
        nodes = len(r.cluster.members)
        rows.append((str(nodes), *lost, str(r.ours.lost_with(Level.NODE)), f"{chance:.1%}"))
    return tables.table(columns, rows)


def steadiness(results: Sequence[Result]) -> str:
    columns = (
        *("nodes", "a node is lost: copies elected anew, of those it had"),
        *("of the others moved", "policy met again"),
        *("weights +-10 %: recorded copies moved", "would be drawn elsewhere"),
    )
    rows = [
        (
            str(len(r.cluster.members)),
            f"{r.upkeep.elected / max(1, r.upkeep.had):.2f}",
            f"**{r.upkeep.others_moved}**",
            f"{r.upkeep.met:.0%}",
            f"**{r.upkeep.shaken_moved}**",
            f"{r.upkeep.shaken_drawn:.0%}",
        )
        for r in results
    ]
    return tables.table(columns, rows)


def speed(results: Sequence[Result]) -> str:
    columns = ("nodes", "election, median ms", "p99", "first one of a view, median ms")
    rows = [
        (
            str(len(r.cluster.members)),
            f"**{r.ours.quantile_ms(r.ours.warm_ms, 0.5):.2f}**",
            f"{r.ours.quantile_ms(r.ours.warm_ms, 0.99):.2f}",
            f"{r.ours.quantile_ms(r.ours.cold_ms, 0.5):.1f}",
            "yes" if r.ours.quantile_ms(r.ours.warm_ms, 0.5) < MS_GOAL else "no",
        )
        for r in results
    ]
    return tables.table((*columns, f"goal: {MS_GOAL:.0f} ms"), rows)


def page(results: Sequence[Result], command: str) -> str:
    parts = (balance, cost, safety, steadiness, speed)
    return "\n\n".join([f"`{command}`", *(part(results) for part in parts)])


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=[6, 60, 200])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args(argv)
    results = [evaluate(nodes, chosen.seed) for nodes in chosen.nodes]
    words = " ".join(map(str, chosen.nodes))
    text = page(results, f"python -m tests.bench.placement --nodes {words} --seed {chosen.seed}")
    sys.stdout.write(f"{text}\n\nchunks of {CHUNK_BYTES / GB:.2f} GB\n")
    if chosen.write:
        tables.write("placement", text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
