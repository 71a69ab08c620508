"""`mcctl config`: check a node's configuration, explain where each value came from, reload it."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mcctl.cli import run_async
from mcctl.options import options
from mcctl.show import Cell, Table, emit, next_step
from multicloud.errors import McError
from nodeagent.config.document import schema as made_schema
from nodeagent.config.explain import Explained
from nodeagent.config.explain import explain as explained
from nodeagent.config.load import load
from nodeagent.config.options import options as known_options

app = typer.Typer(no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="A node's configuration.", show_default=False)]
NodeName = Annotated[str, typer.Argument(metavar="NODE", help="A node's name or id.")]


@app.command()
def validate(file: File) -> None:
    """Names every fault of FILE: line, key, rule, nearest right key. Exit 2 when there is one."""
    loaded = load(file.absolute(), {}, {})
    given = [value for value in explained(loaded) if value.origin != "default"]
    facts = {"file": str(file), "ok": True, "options_set": len(given)}
    emit(facts, f"{file} is right: {len(given)} options set, defaults for the rest")
    next_step(f"`mcctl config explain --file {file}` shows every value")


@app.command()
def schema() -> None:
    """The JSON Schema of the configuration, for editors that complete and check as you type."""
    emit(made_schema(), json.dumps(made_schema(), indent=2))  # JSON for people too.


@app.command()
def explain(
    node: Annotated[
        str,
        typer.Argument(
            metavar="[NODE]",
            help="What is in force there; --node does the same.",
            show_default=False,
        ),
    ] = "",
    file: Annotated[
        Path | None,
        typer.Option(
            help="This file and the variables here; else MC_CONFIG, else the installed one."
        ),
    ] = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="Leave out what is at its default.")
    ] = False,
    why: Annotated[bool, typer.Option("--why", help="With the reason and the limits.")] = False,
) -> None:
    """Every value and where it came from: default, file and line, variable, or flag."""
    remote = bool(node or options().nodes)
    if remote and file:
        raise McError("USAGE", "--file is a file here, but a node was named too", next="drop one")
    if remote:
        values = run_async(_in_force(node))
    else:
        values = explained(load(file.absolute() if file else None, os.environ, {}))
    values = [value for value in values if not (changed and value.origin == "default")]
    emit([asdict(value) for value in values], _table(values, why))


@app.command()
def reload(node: NodeName) -> None:
    """NODE reads its configuration again. A wrong one changes nothing and is told (exit 2)."""
    applied, waiting = run_async(_reload(node))
    facts = {"node": node, "applied": applied, "needs_restart": waiting}
    rows: list[list[str | Cell]] = [[key, Cell("applied", "green")] for key in applied]
    rows += [[key, Cell("needs a restart", "yellow")] for key in waiting]
    unchanged = f"{node} has read its configuration again: nothing differs"
    emit(facts, Table(["OPTION", "CHANGE"], rows) if rows else unchanged)
    if waiting:
        next_step(f"on {node}: systemctl restart nodeagentd")


async def _in_force(node: str) -> list[Explained]:
    """What a node says, with the reasons that are known here."""
    from multicloud.client import Client  # gRPC: not for a file on the disk.
    from multicloud.context import Contexts
    from multicloud.v1 import admin_pb2

    async with Client(Contexts().load(options().context), options().nodes) as client:
        answer = await client.admin.GetConfig(admin_pb2.GetConfigRequest(node=node))
    known = known_options()
    return [
        Explained(
            key=value.key,
            value=value.value,
            origin=value.origin,
            why=known[value.key].why if value.key in known else "",
            limits=known[value.key].limits if value.key in known else "",
            needs_restart=value.needs_restart,
        )
        for value in answer.values
    ]


async def _reload(node: str) -> tuple[list[str], list[str]]:
    from multicloud.client import Client
    from multicloud.context import Contexts
    from multicloud.v1 import admin_pb2

    async with Client(Contexts().load(options().context), options().nodes) as client:
        answer = await client.admin.ReloadConfig(admin_pb2.ReloadConfigRequest(node=node))
    return list(answer.applied), list(answer.needs_restart)


def _table(values: Sequence[Explained], why: bool) -> Table:
    columns = ["OPTION", "VALUE", "FROM", "CHANGES BY"]
    rows: list[list[str | Cell]] = []
    for value in values:
        style = "dim" if value.origin == "default" else "bold"
        change = "restart" if value.needs_restart else "reload"
        row: list[str | Cell] = [value.key, Cell(value.value, style), value.origin, change]
        rows.append([*row, value.limits, value.why] if why else row)
    return Table([*columns, "LIMITS", "WHY"] if why else columns, rows)
