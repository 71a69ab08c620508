"""Draws blocks on a terminal with rich. Text is never read as markup."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table as RichTable
from rich.text import Text

from mcctl.blocks import Block, Cell, Table


def draw(blocks: Sequence[Block], *, to_stderr: bool, color: bool) -> None:
    console = _console(to_stderr=to_stderr, color=color)
    for block in blocks:
        console.print(_rendered(block), soft_wrap=not isinstance(block, Table))


@contextmanager
def redrawn(*, color: bool) -> Iterator[Callable[[Sequence[Block]], None]]:
    with Live(console=_console(to_stderr=False, color=color), auto_refresh=False) as live:
        yield lambda blocks: live.update(Group(*map(_rendered, blocks)), refresh=True)


def _console(*, to_stderr: bool, color: bool) -> Console:
    return Console(stderr=to_stderr, no_color=not color, highlight=False, emoji=False)


def _rendered(block: Block) -> RenderableType:
    if not isinstance(block, Table):
        return _text(block)
    heads = [column.removeprefix(">") for column in block.columns]
    table = RichTable(box=SIMPLE_HEAD, show_header=any(heads), pad_edge=False, header_style="bold")
    for column, head in zip(block.columns, heads, strict=True):
        table.add_column(
            Text(head), justify="right" if column.startswith(">") else "left", overflow="fold"
        )
    for row in block.rows:
        table.add_row(*(_text(cell) for cell in row))
    return table


def _text(block: Cell | str) -> Text:
    return Text(block.text, style=block.style) if isinstance(block, Cell) else Text(block)
