"""The options that every command takes, before or after its name: what they are, how they are read.

They are lifted out of the command line before a command sees it, so no command
declares them; a command asks `options()`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from multicloud.errors import McError

Output = Literal["table", "json", "jsonl", "yaml"]
OUTPUTS: tuple[Output, ...] = ("table", "json", "jsonl", "yaml")


@dataclass(frozen=True, slots=True)
class Options:
    """What the user chose for this run."""

    context: str | None = None
    nodes: tuple[str, ...] = ()
    output: Output = "table"
    timeout_s: float | None = None
    yes: bool = False
    quiet: bool = False
    no_color: bool = False
    version: bool = False


class GlobalOption(NamedTuple):
    flags: tuple[str, ...]
    field: str
    metavar: str  # Empty: a switch.
    help: str


GLOBAL_OPTIONS = (
    GlobalOption(("--context",), "context", "NAME", "The cluster to talk to; else MC_CONTEXT, else the current one."),
    GlobalOption(("--node",), "nodes", "ADDR", "Talk to this node (name or host:port); may be repeated."),
    GlobalOption(("-o", "--output"), "output", "FORMAT", "table, json, jsonl or yaml."),
    GlobalOption(("--timeout",), "timeout_s", "SECONDS", "Give up after so long (exit 124)."),
    GlobalOption(("-y", "--yes"), "yes", "", "Answer yes to every question."),
    GlobalOption(("-q", "--quiet"), "quiet", "", "No progress and no notes."),
    GlobalOption(("--no-color",), "no_color", "", "No colours; NO_COLOR does the same."),
    GlobalOption(("--version",), "version", "", "The version, and nothing else."),
)  # fmt: skip
_BY_FLAG = {flag: option for option in GLOBAL_OPTIONS for flag in option.flags}

_chosen = Options()


def options() -> Options:
    """What the user chose. Set once, by `cli.main`."""
    return _chosen


def choose(chosen: Options) -> None:
    global _chosen
    _chosen = chosen


def hoist(argv: Sequence[str]) -> tuple[Options, list[str]]:
    """The global options of a command line, wherever they stand before `--`, and the rest of it."""
    found, words = Options(), list(argv)
    rest: list[str] = []
    while words:
        word = words.pop(0)
        if word == "--":
            return found, [*rest, word, *words]
        flag, glued = _split(word)
        option = _BY_FLAG.get(flag)
        if option is None:
            rest.append(word)
        elif not option.metavar:
            if glued is not None:
                raise McError("USAGE", f"option {flag} takes no value, but got {glued!r}")
            found = replace(found, **{option.field: True})  # type: ignore[arg-type]
        else:
            if glued is None and not words:
                raise McError("USAGE", f"option {flag} needs a value: {option.metavar}")
            found = _with(found, option, flag, words.pop(0) if glued is None else glued)
    return found, rest


def _split(word: str) -> tuple[str, str | None]:
    """`--timeout=5` and `-ojson` carry their value; everything else is a word of its own."""
    if word.startswith("--") and "=" in word:
        flag, _, value = word.partition("=")
        return flag, value
    if word.startswith("-o") and len(word) > 2:
        return "-o", word[2:].removeprefix("=")
    return word, None


def _with(found: Options, option: GlobalOption, flag: str, value: str) -> Options:
    if option.field == "nodes":
        return replace(found, nodes=(*found.nodes, value))
    if option.field == "timeout_s":
        return replace(found, timeout_s=_seconds(flag, value))
    if option.field == "output":
        if value not in OUTPUTS:
            raise McError("USAGE", f"option {flag}: {value!r} is not one of {', '.join(OUTPUTS)}")
        return replace(found, output=value)
    return replace(found, context=value)


def _seconds(flag: str, value: str) -> float:
    try:
        seconds = float(value.removesuffix("s"))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise McError("USAGE", f"option {flag}: {value!r} is not a number of seconds above 0")
    return seconds
