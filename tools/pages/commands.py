"""docs/commands.md: the help of every command, as a terminal shows it."""

import io
import os
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib import import_module

import typer
from typer.main import get_group

from mcctl.cli import run
from mcctl.commands import TABLE, Row
from tools.pages.markdown import head, note

WIDTH = "80"


def page() -> str:
    os.environ["COLUMNS"] = WIDTH  # The formatter's only way to learn a width.
    return note("the commands in mcctl/") + head("commands") + "".join(_all())


def _all() -> Iterator[str]:
    yield _block("mcctl", [])
    for name, row in TABLE.items():
        yield _block(f"mcctl {name}", [name])
        for inner in _inner(row):
            yield _block(f"mcctl {name} {inner}", [name, inner], level=3)


def _inner(row: Row) -> list[str]:
    found = getattr(import_module(row.module), row.attribute)
    if not isinstance(found, typer.Typer):
        return []
    group = get_group(found)
    return list(group.commands)


def _block(title: str, words: list[str], level: int = 2) -> str:
    with redirect_stdout(io.StringIO()) as said:
        code = run([*words, "--help"])
    assert code == 0, title
    return f"\n{'#' * level} {title}\n\n```text\n{said.getvalue().strip()}\n```\n"
