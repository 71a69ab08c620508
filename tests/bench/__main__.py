"""The benchmark: `python -m tests.bench [NAME…]`, which is `make bench`.

Runs the benches named, or all; prints each figure as it comes, writes the tables of
docs/benchmarks.md and last.json beside this file, and compares with baseline.json. Misses are told,
never failed on: the exit code is 0 unless a bench itself breaks.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module

from tests.bench import report, tables
from tests.bench.frame import Bench, Broken, Row
from tests.bench.machine import Machine

# In the order of running; each module has `rows`, a Bench.
NAMES = (
    "start",
    "calls",
    "links",
    "watch",
    "serf",
    "chunks",
    "ingest",
    "tls",
    "swift",
    "s3",
    "far",
    "memory",
    "process",
    "repair",
    "jobs",
    "traces",
)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def run(names: Sequence[str], done: Callable[[str, list[Row]], None]) -> dict[str, list[Row]]:
    """All in one event loop: grpc.aio does not survive a second one. Each is `done` at once."""
    found: dict[str, list[Row]] = {}
    for name in names:
        begun_s = time.monotonic()
        say(f"-- {name}")
        bench: Bench = import_module(f"tests.bench.{name}").rows
        found[name] = rows = []
        try:
            async for row in bench(lambda text: say(f"   … {text}")):
                say(f"   {row}")
                rows.append(row)
        except (Broken, ExceptionGroup) as error:
            broken = why(error)
            if broken is None:
                raise
            say(f"   BROKEN, what it had is dropped: {broken}")
            del found[name]
        else:
            done(name, rows)
        say(f"   {time.monotonic() - begun_s:.0f} s")
    return found


def why(error: BaseException) -> Broken | None:
    """What broke the bench, also from inside the groups of tasks that it ran in."""
    if isinstance(error, Broken):
        return error
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return next((found for one in inner if (found := why(one))), None)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--no-write", action="store_true", help="leave docs/benchmarks.md alone")
    parser.add_argument("--baseline", action="store_true", help="what later runs compare with")
    chosen = parser.parse_args(argv)
    if unknown := set(chosen.names) - set(NAMES):
        parser.error(f"no bench is called {', '.join(sorted(unknown))}; there are {NAMES}")
    machine, day = Machine.here(), time.strftime("%Y-%m-%d", time.gmtime())
    load = os.getloadavg()[0]
    when = f"{day}, the machine's load being {load:.1f} before the start"
    say(f"{machine}; {when}")
    if load > machine.cores / 2:
        say("others are at work on this machine: every figure is worse than it need be")

    def done(name: str, rows: list[Row]) -> None:
        report.write(report.LAST, report.stored({name: rows}, machine, day))
        if not chosen.no_write:
            tables.write(name, report.table(name, rows, machine, when))

    found = asyncio.run(run(chosen.names or NAMES, done))
    now = report.stored(found, machine, day)
    for line in report.compared(now, report.read(report.BASELINE), machine):
        say(line)
    if chosen.baseline:
        report.write(report.BASELINE, now)
        say(f"this is the baseline now: {report.BASELINE.name}")
    return 0 if len(found) == len(chosen.names or NAMES) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
