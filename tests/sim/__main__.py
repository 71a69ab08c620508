"""python -m tests.sim: lives by seed, or the report.

python -m tests.sim whole --seed 7         one life of whole nodes, repeated exactly, and its trace
python -m tests.sim whole --seeds 1000     many, and what was wrong in which; --from 1000 goes on
python -m tests.sim life --seed 7          one life of brains, and what they told
python -m tests.sim life --seeds 1000      many, and which of them do not end in agreement
python -m tests.sim report [--full] [--write]
"""

import argparse
import os
import sys

from tests.bench import tables
from tests.sim import checks, report
from tests.sim.one_life import one_life
from tests.sim.whole.life import Life

AGREE_S = 60.0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description="The simulator.")
    commands = parser.add_subparsers(dest="command", required=True)
    life = commands.add_parser("life", help="of brains: one life by its seed, or many")
    whole = commands.add_parser("whole", help="of whole nodes: one life by its seed, or many")
    for lived in (life, whole):
        lived.add_argument("--seed", type=int, default=None)
        lived.add_argument("--seeds", type=int, default=None)
    whole.add_argument("--from", type=int, default=0, dest="first", metavar="SEED")
    written = commands.add_parser("report", help="the tables of docs/benchmarks.md")
    written.add_argument("parts", nargs="*", choices=[[], *report.PARTS], metavar="PART")
    written.add_argument("--full", action="store_true", help="takes an hour or more")
    written.add_argument("--seed", type=int, default=1)
    written.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    asked = parser.parse_args(arguments)
    if asked.command == "report":
        return _report(asked.parts or list(report.PARTS), asked.full, asked.seed, asked.write)
    if asked.command == "whole":
        first = asked.first if asked.seeds is not None else asked.seed or 0
        return _whole(range(first, first + (asked.seeds or 1)))
    if asked.seeds is not None:
        return _many(asked.seeds)
    return _one(asked.seed or 0)


def _report(parts: list[str], full: bool, seed: int, write: bool) -> int:
    for part in parts:
        text = report.report(part, report.FULL if full else report.SHORT, seed)
        sys.stdout.write(f"## {part}\n\n{text}\n\n")
        if write:
            tables.write(f"sim-{part}", text)
    return 0


def _one(seed: int) -> int:
    world = one_life(seed)
    for told in world.told:
        subject = world.by_id[told.subject].name
        said = (
            f"{told.at_s:9.3f}  {told.observer.name:>4}  {told.what:16} {subject:>4}  {told.why}\n"
        )
        sys.stdout.write(said)
    took_s, complaints = checks.agree_within(world, AGREE_S)
    sys.stdout.write("\n".join([*complaints, f"views agree after {took_s:.1f} s"]) + "\n")
    sys.stdout.write(f"seed {seed}: {world.events} events, trace {world.trace}\n")
    return 1 if complaints else 0


def _whole(seeds: range) -> int:
    if os.environ.get("PYTHONHASHSEED") != "0":  # Else sets are walked in another order each time.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.sim", *sys.argv[1:]])
    bad = 0
    for seed in seeds:
        life = Life(seed)
        complaints = life.live()
        bad += bool(complaints)
        for complaint in complaints[:3]:
            sys.stdout.write(f"seed {seed}: {complaint}\n")
        if len(seeds) == 1:
            sys.stdout.write("\n".join([*life.happened, f"trace {life.life_trace()}"]) + "\n")
    sys.stdout.write(f"{len(seeds) - bad} of {len(seeds)} lives kept every promise\n")
    return 1 if bad else 0


def _many(seeds: int) -> int:
    bad = 0
    for seed in range(seeds):
        complaints = checks.agree_within(one_life(seed), AGREE_S)[1]
        if complaints:
            bad += 1
            sys.stdout.write(f"seed {seed}: {complaints[0]}\n")
    sys.stdout.write(f"{seeds - bad} of {seeds} lives end in agreement\n")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
