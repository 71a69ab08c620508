"""`mcctl rtt`: the matrix of round-trip times, with the age and the source of each cell."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from mcctl import reach, show
from mcctl.cli import run_async
from mcctl.options import options
from mcctl.show import Cell, Table
from multicloud.v1 import admin_pb2

NODES_MAX = 12  # So many make a matrix that a person reads; beyond, regions do.
NAMED_COLUMNS_MAX = 8  # More are numbered, as the rows are.

# Up to so many milliseconds, this shade. Both colours are given, so every terminal's theme will do.
SHADES = (
    (2.0, "black on grey93"),
    (20.0, "black on grey82"),
    (60.0, "black on grey70"),
    (120.0, "white on grey42"),
    (float("inf"), "white on grey23"),
)


class By(StrEnum):
    NODE = "node"
    REGION = "region"


def rtt(
    by: Annotated[
        By | None,
        typer.Option("--by", help="Rows and columns; a table of more than 12 nodes has regions."),
    ] = None,
    long: Annotated[
        bool, typer.Option("--long", "-l", help="A line for each pair, with source and age.")
    ] = False,
) -> None:
    """The round-trip times of the cluster, in milliseconds; ~ marks an estimate."""
    pairs = run_async(_pairs(by))
    show.emit({"pairs": pairs}, listed(pairs) if long else matrix(pairs))


async def _pairs(by: By | None) -> list[dict[str, Any]]:
    async with reach.client() as client:
        if by is None and options().output == "table":
            by = By.REGION if len(await reach.nodes(client)) > NODES_MAX else By.NODE
        request = admin_pb2.GetRttRequest(by_region=by is By.REGION)
        answer = await client.admin.GetRtt(request)
    return [pair_fields(pair) for pair in answer.pairs]


def pair_fields(pair: admin_pb2.RttPair) -> dict[str, Any]:
    """As documented for `mcctl rtt -o json`."""
    return {
        "from": getattr(pair, "from"),
        "to": pair.to,
        "ms": round(pair.ms, 3),
        "source": "measured" if pair.measured else "estimated",
        "age_s": round(pair.age_s, 1),
    }


def listed(pairs: list[dict[str, Any]]) -> Table:
    rows = [
        [
            *(pair["from"], pair["to"], f"{pair['ms']:.3f}", pair["source"]),
            f"{pair['age_s']:.0f}" if pair["source"] == "measured" else "-",
        ]
        for pair in pairs
    ]
    return Table(("FROM", "TO", ">MS", "SOURCE", ">AGE S"), rows)


def matrix(pairs: list[dict[str, Any]]) -> Table | str:
    if not pairs:
        return "there is no pair of nodes here"
    names = sorted({pair["from"] for pair in pairs} | {pair["to"] for pair in pairs})
    cells = {(pair["from"], pair["to"]): _cell(pair) for pair in pairs}
    numbered = len(names) > NAMED_COLUMNS_MAX
    columns = [str(number) for number in range(1, len(names) + 1)] if numbered else names
    rows = [
        [
            f"{number} {name}" if numbered else name,
            *(cells.get((name, other), "." if name == other else "-") for other in names),
        ]
        for number, name in enumerate(names, 1)
    ]
    return Table(("FROM", *(f">{column}" for column in columns)), rows)


def _cell(pair: dict[str, Any]) -> Cell:
    ms = pair["ms"]
    text = f"{ms:.0f}" if ms >= 100 else f"{ms:.1f}" if ms >= 0.1 else "<0.1"
    style = next(shade for limit_ms, shade in SHADES if ms <= limit_ms)
    return Cell(text if pair["source"] == "measured" else f"~{text}", style)
