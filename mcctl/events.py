"""`mcctl events`: what has happened, as each node saw it, and why; all tales in one order."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from mcctl import reach, show
from mcctl.cli import run_async
from mcctl.event_sinks import sinks
from mcctl.options import options
from mcctl.show import Cell, Table
from mcctl.tales import Follower, in_time, tales_of
from multicloud.errors import McError
from multicloud.v1 import insight_pb2

STYLES = {
    "node.alive": "green",
    "node.trusted": "green",
    "cluster.thawed": "green",
    "node.suspect": "yellow",
    "node.refuted": "yellow",
    "node.left": "dim",
    "node.down": "bold red",
    "node.dead": "bold red",
    "node.gone": "red",
    "node.removed": "magenta",
    "cluster.frozen": "bold yellow",
    "council.changed": "cyan",
}
TAIL = 1000
COLUMNS = ("TIME", "SEEN BY", "EVENT", "NODE", "WHY")
WIDTHS = (12, 10, 14, 10)


app = typer.Typer(invoke_without_command=True)
app.command("sinks")(sinks)


@app.callback()
def events(
    context: typer.Context,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="And what happens from now on, until Ctrl-C.")
    ] = False,
    tail: Annotated[int, typer.Option(min=0, help="Only the newest so many; 0: all.")] = TAIL,
) -> None:
    """What has happened, in order of time, as each node saw it. --node asks only those named."""
    if context.invoked_subcommand is not None:
        return
    if follow and options().output not in ("table", "jsonl"):
        said = f"--follow has no end, and {options().output} is written at the end"
        raise McError("USAGE", said, next="use -o jsonl: an object for each event")
    run_async(_events(follow=follow, tail=tail))


async def _events(*, follow: bool, tail: int) -> None:
    async with reach.client() as client:
        nodes = await reach.nodes(client)
        names = {one.node.facts.id: one.node.facts.name for one in nodes}
        asked = [(await client.to(word)).node.id for word in options().nodes]
        chosen = list(dict.fromkeys(asked)) or list(names)
        told, silent = await tales_of(client, chosen)
        found = [fields(event, names) for event in merged(told)]
        found = found[-tail:] if tail else found
        if follow:
            for one in found:
                _line(one)
            await Follower(client, chosen, told).run(lambda one: _line(fields(one, names)))
            return
    show.emit(found, table(found))
    for node, why in silent.items():
        show.note(f"{names.get(node, node)} was not asked: {why}")


def merged(told: Mapping[str, Sequence[insight_pb2.Event]]) -> list[insight_pb2.Event]:
    """All tales in order of time."""
    every = [event for tale in told.values() for event in tale]
    return sorted(every, key=in_time)


def fields(event: insight_pb2.Event, names: Mapping[str, str]) -> dict[str, Any]:
    """As documented for `mcctl events -o jsonl`."""
    facts = dict(event.facts)
    subject_id, why = facts.pop("id", ""), facts.pop("why", "")
    told_name = facts.pop("node", "")
    return {
        "time": datetime.fromtimestamp(event.unix_ms / 1000, UTC).isoformat(
            timespec="milliseconds"
        ),
        "seen_by": names.get(event.node, event.node),
        "event": event.name,
        # A node that has just been heard of may have had no name yet when this was told.
        "node": names.get(subject_id) or told_name or subject_id,
        "node_id": subject_id,
        "why": why,
        "sequence": event.sequence,
        "facts": facts,
    }


def table(found: Sequence[dict[str, Any]]) -> Table | str:
    return Table(COLUMNS, [_row(one) for one in found]) if found else "nothing has happened yet"


def _row(one: dict[str, Any]) -> list[str | Cell]:
    clock = datetime.fromisoformat(one["time"]).astimezone()
    return [
        clock.strftime("%H:%M:%S.") + f"{clock.microsecond // 1000:03}",
        one["seen_by"],
        Cell(one["event"], STYLES.get(one["event"], "")),
        one["node"],
        one["why"],
    ]


def _line(one: dict[str, Any]) -> None:
    """One event while they come: columns of fixed width, since the next one is not known yet."""
    row = [cell.text if isinstance(cell, Cell) else cell for cell in _row(one)]
    text = "  ".join([*(c.ljust(w) for c, w in zip(row, WIDTHS, strict=False)), row[-1]])
    show.emit(one, Cell(text, STYLES.get(one["event"], "")))
