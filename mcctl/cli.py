"""The frame of mcctl: finds a command, runs it, turns what happens into output and an exit code.

To add a command: a row in `mcctl/commands.py`, and a module of that name with either
a function (one command; its typer-annotated arguments are the command line) or
`app = typer.Typer(no_args_is_help=True)` (a group). The module is imported only when the
command runs, so it imports what it likes at its top. Inside a command:

- `mcctl.options.options()`: the global options. Their names (`--context --node -o --output
  --timeout -y --yes -q --quiet --no-color --version`) are taken: a command never declares them.
- `mcctl.show.emit(value, table)`: data to stdout. `show.note`, `show.next_step`: to stderr.
  `show.confirm(question)` before something that cannot be undone.
- `run_async(work())`: once per process; `--timeout` is applied to it.
- Raise McError for what goes wrong. Return an exit code (int), or None for 0.
"""

import asyncio
import os
import sys
import time
import traceback
from collections.abc import Coroutine, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import typer
from typer._click import Command, Context, HelpFormatter
from typer._click.exceptions import NoArgsIsHelpError, UsageError  # typer has no public name
from typer._click.shell_completion import CompletionItem
from typer.core import TyperGroup
from typer.main import get_command, get_group

from mcctl import show
from mcctl.commands import TABLE, Row
from mcctl.options import GLOBAL_OPTIONS, choose, hoist, options
from multicloud import __version__
from multicloud.errors import McError

COMPLETE_VARIABLE = "_MCCTL_COMPLETE"
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141  # As if SIGPIPE had ended it, which is what `mcctl … | head` asks for.
ABOUT = "Moves, processes and durably replicates training data across clouds, peer to peer."

Result = TypeVar("Result")


def run_async(work: Coroutine[Any, Any, Result]) -> Result:
    """Runs a command's asynchronous part within `--timeout`. Once a process, as grpc.aio asks."""
    timeout_s = options().timeout_s

    async def within() -> Result:
        try:
            async with asyncio.timeout(timeout_s) as limit:
                return await work
        except TimeoutError as late:
            if not limit.expired():
                raise
            raise McError("DEADLINE", f"not done within {timeout_s:g} s") from late

    return asyncio.run(within())


def run(argv: Sequence[str], rows: Mapping[str, Row] = TABLE) -> int:
    """One command line from start to exit code. Nothing gets past it but the exit code."""
    try:
        return _guarded(argv, rows)
    except BrokenPipeError:
        # Python flushes stdout once more at exit; there must be somewhere to flush to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE


def _guarded(argv: Sequence[str], rows: Mapping[str, Row]) -> int:
    try:
        code = _run(argv, rows)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        show.note("interrupted")
        return EXIT_INTERRUPTED
    except NoArgsIsHelpError as missing:
        show.say(missing.ctx.get_help() if missing.ctx else missing.format_message())
        return 2
    except UsageError as wrong:
        return _failed(_usage(wrong))
    except McError as failure:
        return _failed(failure)
    except Exception as defect:  # noqa: BLE001  The last line of defence: never a raw traceback.
        return _failed(_internal(defect))


def _run(argv: Sequence[str], rows: Mapping[str, Row]) -> int:
    root = _root(rows)
    if os.environ.get(COMPLETE_VARIABLE):
        root.main(prog_name="mcctl", complete_var=COMPLETE_VARIABLE)
    chosen, rest = hoist(argv)
    choose(chosen)
    if chosen.version:
        show.emit({"version": __version__}, __version__)
        return 0
    try:
        with root.make_context("mcctl", rest) as context:
            result = root.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    except typer.Abort:
        return EXIT_INTERRUPTED
    return result if isinstance(result, int) else 0


def _root(rows: Mapping[str, Row]) -> "Lazy":
    app = typer.Typer(cls=Lazy, help=ABOUT, rich_markup_mode=None, no_args_is_help=True)
    app.callback()(lambda: None)
    root = get_command(app)
    assert isinstance(root, Lazy)
    root.know(rows)
    return root


class Lazy(TyperGroup):
    """A group that knows its commands from the table and imports one only to run it."""

    _rows: Mapping[str, Row]

    def know(self, rows: Mapping[str, Row]) -> None:
        self._rows = rows
        self.commands = dict.fromkeys(rows)  # type: ignore[assignment]  # For suggestions.

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        row = self._rows.get(cmd_name)
        return _loaded(cmd_name, row) if row else None

    def list_commands(self, ctx: Context) -> list[str]:
        return list(self._rows)

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        with formatter.section("Options of every command, before or after its name"):
            formatter.write_dl(
                [(f"{', '.join(o.flags)} {o.metavar}".strip(), o.help) for o in GLOBAL_OPTIONS]
            )

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        for section in dict.fromkeys(row.section for row in self._rows.values()):
            with formatter.section(section):
                formatter.write_dl(
                    [(name, row.help) for name, row in self._rows.items() if row.section == section]
                )

    def shell_complete(self, ctx: Context, incomplete: str) -> list[CompletionItem]:
        """Names from the table, so that a press of TAB imports nothing."""
        flags = [(flag, option.help) for option in GLOBAL_OPTIONS for flag in option.flags]
        words = [(name, row.help) for name, row in self._rows.items()]
        known = flags if incomplete.startswith("-") else words
        return [CompletionItem(word, help=h) for word, h in known if word.startswith(incomplete)]


def _loaded(name: str, row: Row) -> Command:
    found = getattr(import_module(row.module), row.attribute)
    if isinstance(found, typer.Typer):
        found.info.help = row.help
        found.rich_markup_mode = None
        group = get_group(found)
        group.name = name
        return group
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(name)(found)
    return get_command(single)


def _failed(failure: McError) -> int:
    show.error(failure)
    return failure.row.exit


def _usage(wrong: UsageError) -> McError:
    path = wrong.ctx.command_path if wrong.ctx else "mcctl"
    return McError("USAGE", wrong.format_message().rstrip("."), next=f"see `{path} --help`")


def _internal(defect: Exception) -> McError:
    """Keeps the traceback for whoever reports the defect, out of the user's sight."""
    if os.environ.get("MC_DEBUG"):
        traceback.print_exception(defect)
    text = "".join(traceback.format_exception(defect))
    what = f"{type(defect).__name__}: {defect}"
    try:
        kept = _keep(text)
    except OSError as unwritable:
        return McError("INTERNAL", what, next=f"MC_DEBUG=1 shows more (not kept: {unwritable})")
    return McError("INTERNAL", what, next=f"a defect: report it with {kept}")


def _keep(text: str) -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    folder = Path(base) / "multicloud" / "defects"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"mcctl-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.txt"
    path.touch(mode=0o600)
    path.write_text(text)
    return path
