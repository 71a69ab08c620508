"""Commands that show what the frame promises; run by test_cli.py."""

import asyncio
import signal
from typing import Annotated

import typer

from mcctl import show
from mcctl.cli import run_async
from mcctl.options import options
from multicloud.errors import FieldFault, McError

group = typer.Typer(no_args_is_help=True)


@group.command()
def first() -> None:
    show.emit("first")


@group.command()
def second(name: str) -> int:
    show.emit(name)
    return 7


def echo(words: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Says what it was given."""
    chosen = options()
    show.note("a note")
    show.emit(
        {"words": words or [], "context": chosen.context, "nodes": list(chosen.nodes)},
        show.Table(("NAME", ">N"), [("a b", "1"), (show.Cell("longer", "green"), "1000")]),
    )


def fail() -> None:
    raise McError(
        "CONFIG_INVALID",
        "x.toml is wrong",
        faults=[FieldFault("a.b", "must be above 0", "x.toml:3", "a.c")],
        trace_id="abc",
    )


def defect() -> None:
    raise ZeroDivisionError("oops")


def slow() -> None:
    async def for_ever() -> None:
        show.note("waiting")
        await asyncio.Event().wait()

    run_async(for_ever())


def interrupted() -> None:
    signal.raise_signal(signal.SIGINT)


def ask() -> None:
    show.emit("did it" if show.confirm("Remove it?") else "left it")


def flood() -> None:
    for number in range(100_000):
        show.emit(number)
