"""`nodeagentd`: the daemon that every VM runs, and how it gets there.

Quick to start: what a command needs is imported by that command.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
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
    from nodeagent.daemon import run

    return run(_reader(arguments))


def _check_config(arguments: argparse.Namespace) -> int:
    loaded = _reader(arguments)()
    given = [origin for origin in loaded.origins.values() if origin != "default"]
    total = len(loaded.origins)
    print(f"{loaded.path} is right: {len(given)} of {total} options set, defaults for the rest")  # noqa: T201
    return 0


def _install(arguments: argparse.Namespace) -> int:
    from nodeagent.install.installer import Machine, install
    from nodeagent.install.interpreter import for_service, running
    from nodeagent.install.places import Places
    from nodeagent.install.service import Systemd

    here = arguments.root is None
    machine = Machine(
        places=Places(_root(arguments)),
        service=Systemd() if here else None,
        # In an image nobody but its maker knows which Python will be there.
        python=for_service() if here else running(),
        now_unix_s=time.time(),
        user_id=os.geteuid(),
        say=_say,
    )
    bundle = arguments.bundle.absolute()
    if machine.places.current.exists() and here:
        _confirm("There is a node on this machine: upgrade and restart it?", yes=arguments.yes)
    install(bundle, machine, start=not arguments.no_start)
    return 0


def _uninstall(arguments: argparse.Namespace) -> int:
    from nodeagent.install.places import Places
    from nodeagent.install.service import Systemd
    from nodeagent.install.uninstall import uninstall

    what = "its data and its identity too" if arguments.purge else "data and identity are kept"
    _confirm(f"Take the node off this machine ({what})?", yes=arguments.yes)
    service = Systemd() if arguments.root is None else None
    uninstall(Places(_root(arguments)), service, _say, purge=arguments.purge)
    return 0


def _root(arguments: argparse.Namespace) -> Path:
    root: Path = arguments.root or Path("/")
    return root.absolute()


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise McError(
            "USAGE", f"{question} There is no terminal to ask on", next="repeat with --yes"
        )
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise McError("CANCELLED", "nothing was changed")


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
    _add_install(commands)
    version = commands.add_parser("version", help="say which version this is")
    version.set_defaults(command=_version)
    return parser


def _add_install(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--yes", "-y", action="store_true", help="ask nothing")
    common.add_argument(
        "--root", type=Path, metavar="DIR", help="under this folder instead of /; starts nothing"
    )
    install = commands.add_parser(
        "install", parents=[common], help="make this VM a node, or upgrade the node on it"
    )
    install.add_argument("bundle", type=Path, metavar="BUNDLE", help="of mcctl cluster issue-node")
    install.add_argument("--no-start", action="store_true", help="leave the start to you")
    install.set_defaults(command=_install)
    uninstall = commands.add_parser(
        "uninstall", parents=[common], help="take the node off this VM; data and identity stay"
    )
    uninstall.add_argument("--purge", action="store_true", help="data and identity go too")
    uninstall.set_defaults(command=_uninstall)


def _failed(error: McError) -> int:
    """What happened, to what, why, and what to do next: one line, then one for each fault."""
    lines = [f"nodeagentd: {error}; next: {error.next}", *(f"  {f}" for f in error.faults)]
    sys.stderr.write("\n".join(lines) + "\n")
    return error.row.exit


if __name__ == "__main__":
    sys.exit(main())
