"""`nodeagentd`: the daemon that every VM runs, and how it gets there.

Quick to start: what a command needs is imported by that command.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from multicloud import __version__
from multicloud.errors import McError
from nodeagent.memory import raise_malloc_thresholds

if TYPE_CHECKING:
    from nodeagent.config.load import Loaded

EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    raise_malloc_thresholds()  # Before grpc is imported: the heap is laid out early.
    try:
        arguments = _parser().parse_args(argv)
        code: int = arguments.command(arguments)
        return code
    except McError as error:
        return _failed(error)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _run(arguments: argparse.Namespace) -> int:
    read = _reader(arguments)
    daemon = import_module("nodeagent.daemon")  # gRPC and all: only where it is needed.
    code: int = daemon.run(read)
    return code


def _check_config(arguments: argparse.Namespace) -> int:
    loaded = _reader(arguments)()
    given = [origin for origin in loaded.origins.values() if origin != "default"]
    total = len(loaded.origins)
    print(f"{loaded.path} is right: {len(given)} of {total} options set, defaults for the rest")  # noqa: T201
    return 0


def _version(_arguments: argparse.Namespace) -> int:
    print(f"nodeagentd {__version__}")  # noqa: T201
    return 0


def _reader(arguments: argparse.Namespace) -> "Callable[[], Loaded]":
    from nodeagent.config.load import load

    return partial(load, arguments.config, os.environ, _flags(arguments.set))


def _flags(settings: Sequence[str]) -> dict[str, str]:
    flags = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise McError("USAGE", f"--set {setting!r} has no '='", next="--set section.key=value")
        flags[key.strip()] = value.strip()
    return flags


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nodeagentd",
        description="The daemon of multicloud: run it, check its configuration, install it.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    configured = argparse.ArgumentParser(add_help=False)
    configured.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="absolute path; else $MC_CONFIG, else /etc/multicloud/nodeagent.toml",
    )
    configured.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="an option that wins over the file and over MC_SECTION__KEY; may be repeated",
    )

    run = commands.add_parser("run", parents=[configured], help="run the daemon, as systemd does")
    run.set_defaults(command=_run)
    check = commands.add_parser(
        "check-config", parents=[configured], help="say what is wrong with the configuration"
    )
    check.set_defaults(command=_check_config)
    version = commands.add_parser("version", help="say which version this is")
    version.set_defaults(command=_version)
    return parser


def _failed(error: McError) -> int:
    """What happened, to what, why, and what to do next: one line, then one for each fault."""
    lines = [f"nodeagentd: {error}; next: {error.next}", *(f"  {f}" for f in error.faults)]
    sys.stderr.write("\n".join(lines) + "\n")
    return error.row.exit


if __name__ == "__main__":
    sys.exit(main())
