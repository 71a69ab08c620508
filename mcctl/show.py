"""All output of mcctl: data to stdout in the format asked for; notes and errors to stderr."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mcctl.blocks import Block, Cell, Table
from mcctl.options import options
from multicloud.errors import McError

__all__ = [
    "Block",
    "Cell",
    "Table",
    "confirm",
    "emit",
    "error",
    "error_object",
    "next_step",
    "note",
    "on_terminal",
    "redrawn",
    "say",
    "table_of",
]


def emit(value: Any, table: Block | Sequence[Block] | None = None) -> None:
    """Writes `value` (plain data, documented field names) to stdout, or `table` when people read.

    Without `table` the value itself is laid out. In jsonl a list is one object a line, and
    a command that streams calls `emit` once per object.
    """
    output = options().output
    if output == "json":
        _write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    elif output == "jsonl":
        items = value if isinstance(value, list) else [value]
        _write("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items))
    elif output == "yaml":
        from mcctl import yaml

        _write(yaml.dump(value))
    else:
        chosen = table if table is not None else table_of(value)
        blocks = [chosen] if isinstance(chosen, Table | Cell | str) else chosen
        _draw(blocks, to_stderr=False)


def table_of(value: Any) -> Block:
    """Any plain value as a table: a list of objects by their fields, an object as key and value."""
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        columns = list(dict.fromkeys(key for item in value for key in item))
        return Table(columns, [[_text(item.get(c)) for c in columns] for item in value])
    if isinstance(value, dict):
        return Table(("", ""), [[key, _text(item)] for key, item in value.items()])
    if isinstance(value, list):
        return "\n".join(_text(item) for item in value)
    return _text(value)


@contextmanager
def redrawn() -> Iterator[Callable[[Sequence[Block]], None]]:
    """On a terminal: what is drawn next takes the place of what was drawn before."""
    from mcctl import rich_show

    with rich_show.redrawn(color=not _plain_wanted()) as draw:
        yield draw


def note(block: Block) -> None:
    """Progress or a remark, on stderr; `-q` silences it."""
    if not options().quiet:
        _draw([block], to_stderr=True)


def next_step(text: str) -> None:
    """What to type next, on stderr and only for people."""
    if options().output == "table":
        note(f"next: {text}")


def say(text: str) -> None:
    """A line on stderr as it is, also when quiet."""
    sys.stderr.write(text + "\n")


def confirm(question: str) -> bool:
    """Asks on the terminal. `-y` answers yes; without a terminal it is a usage error."""
    if options().yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise McError("USAGE", f"{question} There is no terminal to ask on", next="repeat with -y")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def error(failure: McError) -> None:
    """An McError on stderr: lines for people, an object for machines."""
    if options().output != "table":
        say(json.dumps(error_object(failure), indent=2, ensure_ascii=False))
        return
    trace = f" (trace {failure.trace_id})" if failure.trace_id else ""
    lines: list[Block] = [Cell(f"error: {failure.message} [{failure.reason}]{trace}", "red")]
    lines += [f"  {fault}" for fault in failure.faults]
    if failure.next:
        lines.append(f"next: {failure.next}")
    _draw(lines, to_stderr=True)


def error_object(failure: McError) -> dict[str, Any]:
    faults = [
        {"field": f.field, "rule": f.rule, "where": f.where, "nearest": f.nearest}
        for f in failure.faults
    ]
    return {
        "error": {
            "reason": failure.reason,
            "message": failure.message,
            "next": failure.next,
            "trace_id": failure.trace_id or None,
            "facts": failure.facts,
            "faults": faults,
            "retry_after_s": failure.retry_after_s,
            "exit": failure.row.exit,
        }
    }


def on_terminal(*, stderr: bool = False) -> bool:
    """Whether a person watches, and so whether colours and moving text make sense."""
    stream = sys.stderr if stderr else sys.stdout
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _draw(blocks: Sequence[Block], *, to_stderr: bool) -> None:
    if on_terminal(stderr=to_stderr):
        from mcctl import rich_show  # Only terminals pay for it.

        rich_show.draw(blocks, to_stderr=to_stderr, color=not _plain_wanted())
        return
    stream = sys.stderr if to_stderr else sys.stdout
    for block in blocks:
        text = _aligned(block) if isinstance(block, Table) else _text(block)
        stream.write(text + "\n")
    stream.flush()


def _plain_wanted() -> bool:
    return options().no_color or bool(os.environ.get("NO_COLOR"))


def _aligned(table: Table) -> str:
    """Columns held apart by spaces, for pipes and files: no tabs, no colours, nothing cut off."""
    rows = [[_text(cell) for cell in row] for row in table.rows]
    heads = [column.removeprefix(">").upper() for column in table.columns]
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    lines = [heads, *rows] if any(heads) else rows
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column.startswith(">") else cell.ljust(width)
            for cell, width, column in zip(line, widths, table.columns, strict=True)
        ).rstrip()
        for line in lines
    )


def _text(value: Any) -> str:
    if isinstance(value, Cell):
        value = value.text
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    # A tab or a line break would move what stands behind it.
    return str(value).replace("\t", " ")
