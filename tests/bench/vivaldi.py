"""How well Vivaldi estimates pairs that nobody measured, on a measured matrix.

    python -m tests.bench.vivaldi FILE.csv [FILE…] [--nodes N] [--seed S] [--write]

Every pair is judged where it was held out, that is never sampled: the pairs are dealt into five
parts, and five clusters each do without one. The others are sampled as a cluster does it, one by
one, with jitter and spikes. `--write` puts the table into docs/benchmarks.md.
"""

import argparse
import sys
from dataclasses import dataclass
from math import dist
from pathlib import Path
from random import Random
from statistics import fmean, quantiles

from coordinator.vivaldi import Vivaldi, estimate_ms
from tests.bench import tables
from tests.bench.matrix import Matrix, read

ROUNDS = 1000  # Samples of each node: with eight streams a matter of minutes.
PARTS = 5
JITTER = 0.05
SPIKE_SHARE, SPIKE_MS = 0.02, 200.0
CANDIDATES = 20
MEDIAN_GOAL, P90_GOAL = 0.09, 0.30


@dataclass(frozen=True)
class Score:
    """Errors are relative to the true time."""

    nodes: int
    median: float
    p90: float
    sampled_median: float  # Of pairs that were sampled: what the embedding itself costs.
    sampled_p90: float
    nearest_loss_ms: float  # How much farther the seemingly nearest of 20 is than the nearest.
    drift_ms: float  # How far a coordinate still moves in a round.

    @property
    def good(self) -> bool:
        return self.median <= MEDIAN_GOAL and self.p90 <= P90_GOAL


def evaluate(matrix: Matrix, seed: int, rounds: int = ROUNDS) -> Score:
    pairs = sorted(matrix.ms)
    Random(f"{seed}/parts").shuffle(pairs)
    held_out, sampled, lost_ms, steps_ms = [], [], [], []
    for part in range(PARTS):
        held = set(pairs[part::PARTS])
        rng = Random(f"{seed}/world/{part}")
        nodes = [Vivaldi(Random(f"{seed}/{number}")) for number in range(len(matrix.names))]
        steps_ms.append(_sampled(matrix, held, nodes, rng, rounds))
        lost_ms.append(_nearest_loss_ms(matrix, nodes, rng))
        for (a, b), ms in matrix.ms.items():
            error = abs(estimate_ms(nodes[a].coordinate, nodes[b].coordinate) - ms) / ms
            (held_out if (a, b) in held else sampled).append(error)
    spreads = (*_spread(held_out), *_spread(sampled))
    return Score(len(matrix.names), *spreads, fmean(lost_ms), fmean(steps_ms))


def _sampled(
    matrix: Matrix, held: set[tuple[int, int]], nodes: list[Vivaldi], rng: Random, rounds: int
) -> float:
    """Everybody samples somebody in each round; the mean step of the last tenth of the rounds."""
    others: list[list[int]] = [[] for _ in nodes]
    for a, b in sorted(matrix.ms.keys() - held):
        others[a].append(b)
        others[b].append(a)
    steps = []
    for done in range(rounds):
        for here, node in enumerate(nodes):
            if not others[here]:
                continue
            there = rng.choice(others[here])
            before = node.coordinate.position
            ms = matrix.of(here, there) or 0.0
            seen_ms = ms * rng.uniform(1 - JITTER, 1 + JITTER)
            if rng.random() < SPIKE_SHARE:
                seen_ms += rng.expovariate(1 / SPIKE_MS)
            node.observe(str(there), nodes[there].coordinate, seen_ms)
            if done >= rounds - max(1, rounds // 10):
                steps.append(dist(before, node.coordinate.position))
    return fmean(steps)


def _spread(errors: list[float]) -> tuple[float, float]:
    tenths = quantiles(errors, n=10)
    return tenths[4], tenths[8]


def _nearest_loss_ms(matrix: Matrix, nodes: list[Vivaldi], rng: Random) -> float:
    lost = []
    for here, node in enumerate(nodes):
        known = [n for n in range(len(nodes)) if n != here and matrix.of(here, n) is not None]
        drawn = rng.sample(known, min(CANDIDATES, len(known)))
        if not drawn:
            continue
        true_ms = {n: matrix.of(here, n) or 0.0 for n in drawn}
        seeming = min(drawn, key=lambda n: estimate_ms(node.coordinate, nodes[n].coordinate))
        lost.append(true_ms[seeming] - min(true_ms.values()))
    return fmean(lost)


def row(name: str, matrix: Matrix, score: Score) -> list[str]:
    return [
        name,
        str(score.nodes),
        f"**{score.median:.1%}**",
        f"**{score.p90:.1%}**",
        f"{score.sampled_median:.1%} / {score.sampled_p90:.1%}",
        f"{score.nearest_loss_ms:.1f}",
        f"{score.drift_ms:.2f}",
        f"{matrix.detour_share():.0%}",
        "yes" if score.good else "no",
    ]


COLUMNS = (
    "matrix",
    "nodes",
    "median error",
    "p90 error",
    "sampled pairs, median / p90",
    "nearest of 20, ms lost",
    "drift, ms a round",
    "pairs with a shorter detour",
    f"goal: {MEDIAN_GOAL:.0%} / {P90_GOAL:.0%}",
)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.vivaldi")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.csv")
    parser.add_argument("--nodes", type=int, default=200, help="at most so many, by lot")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="samples of each node")
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    chosen = parser.parse_args(argv)
    rows = []
    for path in chosen.files:
        matrix = read(path).some(chosen.nodes, Random(f"{chosen.seed}/{path.name}"))
        rows.append(
            row(path.name.split(".")[0], matrix, evaluate(matrix, chosen.seed, chosen.rounds))
        )
    names = " ".join(path.name for path in chosen.files)
    command = f"python -m tests.bench.vivaldi {names} --nodes {chosen.nodes} --seed {chosen.seed}"
    command += f" --rounds {chosen.rounds}"
    text = f"`{command}`\n\n{tables.table(COLUMNS, rows)}"
    sys.stdout.write(text + "\n")
    if chosen.write:
        tables.write("vivaldi", text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
