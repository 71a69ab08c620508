"""What becomes of rows: a table of `docs/benchmarks.md`, `last.json` for machines, and a comparison
with the stored baseline that names what has become worse by more than the noise.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench import tables
from tests.bench.frame import Row, number
from tests.bench.machine import Machine

HERE = Path(__file__).resolve().parent
BASELINE = HERE / "baseline.json"
LAST = HERE / "last.json"
WORSE_SHARE_MIN = 0.2  # Two runs of the same code on a shared machine differ by as much.
COLUMNS = ("what", "figure", "least to most", "runs", "goal", "met", "how it is measured")

Stored = dict[str, Any]


def table(name: str, rows: Sequence[Row], machine: Machine, when: str) -> str:
    """In Markdown, with the command, the time and the machine above it."""
    cells = [
        (
            row.what,
            f"**{row.figure}**",
            row.spread,
            str(row.count) if row.count > 1 else "",
            f"{row.goal} {row.unit}" if row.goal else "",
            {True: "yes", False: "**no**", None: ""}[row.met],
            row.how,
        )
        for row in rows
    ]
    return f"`make bench BENCH={name}` on {when}: {machine}.\n\n{tables.table(COLUMNS, cells)}"


def stored(benches: Mapping[str, Sequence[Row]], machine: Machine, day: str) -> Stored:
    return {
        "day": day,
        "machine": machine.fields(),
        "benches": {
            name: {row.what: _fields(row) for row in rows if row.value is not None}
            for name, rows in benches.items()
        },
    }


def _fields(row: Row) -> Stored:
    return {
        "value": row.value,
        "low": row.low,
        "high": row.high,
        "count": row.count,
        "at": row.at,
        "unit": row.unit,
        "more_is_better": row.more_is_better,
        "met": row.met,
    }


def read(path: Path) -> Stored:
    if not path.exists():
        return {"day": "", "machine": {}, "benches": {}}
    found: Stored = json.loads(path.read_text())
    return found


def write(path: Path, found: Stored) -> None:
    """Benches that did not run this time keep what they had, if it is of the same machine."""
    before = read(path)
    kept = before["benches"] if before["machine"] == found["machine"] else {}
    path.write_text(
        json.dumps({**found, "benches": {**kept, **found["benches"]}}, indent=1, sort_keys=True)
        + "\n"
    )


def compared(now: Stored, baseline: Stored, machine: Machine) -> Iterator[str]:
    """Lines for people: what is worse by more than the noise, and what is gone."""
    if not baseline["benches"]:
        yield "there is no baseline yet: `make bench BASELINE=1` stores this run as one"
        return
    if not machine.like(baseline["machine"]):
        yield "the baseline is of another machine, so nothing is compared"
        return
    worse = list(_worse(now["benches"], baseline["benches"]))
    yield from worse
    if not worse:
        yield f"nothing is worse than the baseline of {baseline['day']} by more than the noise"


def _worse(now: Stored, baseline: Stored) -> Iterable[str]:
    for name, rows in now.items():
        for what, before in baseline.get(name, {}).items():
            after = rows.get(what)
            if after is None:
                yield f"GONE {name}: {what} has no figure any more"
            elif regressed(before, after):
                change = after["value"] / before["value"] if before["value"] else float("inf")
                yield (
                    f"WORSE {name}: {what}: {number(before['value'])} to "
                    f"{number(after['value'])} {after['unit']} ({change:.2f} times)"
                )


def regressed(before: Stored, after: Stored) -> bool:
    """Worse by a share that matters, and beyond every single run of the other side.

    A figure that is itself an extreme (p99, max) has no spread of its own: the share decides.
    """
    sign = -1 if before["more_is_better"] else 1
    margin = WORSE_SHARE_MIN * abs(before["value"])
    if sign * (after["value"] - before["value"]) <= margin:
        return False
    if before["at"] != "median":
        return True
    worst_before = before["low"] if sign < 0 else before["high"]
    best_after = after["high"] if sign < 0 else after["low"]
    return bool(sign * (best_after - worst_before) > 0)
