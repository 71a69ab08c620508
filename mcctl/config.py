"""`mcctl config`: check a node's configuration, explain where each value came from, reload it."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mcctl.show import Cell, Table, emit, next_step
from nodeagent.config.document import schema as made_schema
from nodeagent.config.explain import Explained
from nodeagent.config.explain import explain as explained
from nodeagent.config.load import load

app = typer.Typer(no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="A node's configuration.", show_default=False)]


@app.command()
def validate(file: File) -> None:
    """Names every fault of FILE: line, key, rule, nearest right key. Exit 2 when there is one."""
    loaded = load(file.absolute(), {}, {})
    given = [value for value in explained(loaded) if value.origin != "default"]
    facts = {"file": str(file), "ok": True, "options_set": len(given)}
    emit(facts, f"{file} is right: {len(given)} options set, defaults for the rest")
    next_step("`mcctl config explain --file FILE` shows every value")


@app.command()
def schema() -> None:
    """The JSON Schema of the configuration, for editors that complete and check as you type."""
    from mcctl.options import options

    if options().output == "table":  # It is JSON whatever reads it.
        import json

        emit(None, json.dumps(made_schema(), indent=2))
    else:
        emit(made_schema())


@app.command()
def explain(
    file: Annotated[
        Path | None,
        typer.Option(help="This file and the variables here; else MC_CONFIG, else the node's own."),
    ] = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="Leave out what is at its default.")
    ] = False,
    why: Annotated[bool, typer.Option("--why", help="With the reason and the limits.")] = False,
) -> None:
    """Every value and where it came from: default, file and line, variable, or flag."""
    loaded = load(file.absolute() if file else None, os.environ, {})
    values = [v for v in explained(loaded) if not (changed and v.origin == "default")]
    emit([asdict(value) for value in values], _table(values, why))


def _table(values: Sequence[Explained], why: bool) -> Table:
    columns = ["OPTION", "VALUE", "FROM", "CHANGES BY"]
    rows: list[list[str | Cell]] = []
    for value in values:
        style = "dim" if value.origin == "default" else "bold"
        change = "restart" if value.needs_restart else "reload"
        row: list[str | Cell] = [value.key, Cell(value.value, style), value.origin, change]
        rows.append([*row, value.limits, value.why] if why else row)
    return Table([*columns, "LIMITS", "WHY"] if why else columns, rows)
