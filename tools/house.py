"""The rules of the house that no linter knows, as pure functions over a file's text.

    python -m tools.house
Each fault names the file, the line, the rule and what to do. `tests/unit/test_house.py` keeps them.
"""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from multicloud.errors import REASONS

ROOT = Path(__file__).resolve().parent.parent
LINES_MAX = 400
FUNCTION_LINES_MAX = 60
GENERATED = ("multicloud/v1/",)
VAGUE = re.compile(r"(^|_)(utils?|helpers?|managers?|common|misc)(_|$)")
LATER = re.compile(r"\b(TODO|FIXME|XXX)\b")

# Where a task may live outside a TaskGroup, and why it is still not forgotten.
LONE_TASKS: Mapping[str, str] = {
    "mcctl/dev/supervisor.py": "a race of three, all ended in its `finally`; a group would wait",
    "mcctl/sources/serving.py": "what its block raises leaves as it is; ended in its `finally`",
    "multicloud/dial.py": "dials race, the winner is kept, the rest is ended in its `finally`",
    "nodeagent/jobs/sources/readers.py": "who asks for a cost does not wait; forget() ends it",
    "nodeagent/jobs/sources/service.py": "a group must not span the yields of a generator",
    "nodeagent/rpc/watch_service.py": "a group must not span the yields of a generator",
    "nodeagent/store/bucket/put.py": "whoever puts drives it, call by call, to commit or abort",
    "nodeagent/wire/answers.py": "a group must not span the yields of a generator",
    "tests/unit/test_audit.py": "the test is about callers that leave",
}

# Rows of the table of errors that later parts of the system raise.
RESERVED: Mapping[str, str] = {}


@dataclass(frozen=True)
class Source:
    path: str  # Relative to the repository, with '/'.
    text: str


def faults(source: Source, lone_tasks: Mapping[str, str] = LONE_TASKS) -> Iterator[str]:
    """What is wrong with one file."""
    tree = ast.parse(source.text, source.path)
    yield from _size(source)
    yield from _name(source)
    yield from _opening(source, tree)
    yield from _remarks(source)
    for node in ast.walk(tree):
        yield from (f"{source.path}:{_line(node)}: {what}" for what in _of_node(node))
        if _is_lone_task(node) and source.path not in lone_tasks:
            what = "a task outside a TaskGroup; use one, or list the file in tools/house.py"
            yield f"{source.path}:{_line(node)}: {what}"


def _line(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 0))


def _size(source: Source) -> Iterator[str]:
    lines = source.text.count("\n")
    if lines > LINES_MAX:
        yield f"{source.path}: {lines} lines, {LINES_MAX} are allowed; give each purpose a file"


def _name(source: Source) -> Iterator[str]:
    for part in source.path.removesuffix(".py").split("/"):
        if VAGUE.search(part):
            yield f"{source.path}: {part!r} does not say what is in there"


def _opening(source: Source, tree: ast.Module) -> Iterator[str]:
    if source.text.strip() and ast.get_docstring(tree) is None:
        yield f"{source.path}:1: a file opens by saying what it is for"


def _remarks(source: Source) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type == tokenize.COMMENT and LATER.search(token.string):
            yield f"{source.path}:{token.start[0]}: do it now, or open an issue"


def _of_node(node: ast.AST) -> Iterator[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            yield f"{node.name} has {lines} lines, {FUNCTION_LINES_MAX} are allowed"
    if isinstance(node, ast.ImportFrom) and node.level:
        yield "a relative import; name the package"
    reason = _reason(node)
    if reason is not None and reason not in REASONS:
        yield f"{reason} is no reason of multicloud/errors.py"


def _reason(node: ast.AST) -> str | None:
    """The reason of a `McError("REASON", …)`, where it is written there."""
    if not (isinstance(node, ast.Call) and _last(node.func) == "McError" and node.args):
        return None
    first = node.args[0]
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def _is_lone_task(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = _last(node.func)
    if name == "ensure_future":
        return True
    owner = node.func.value if isinstance(node.func, ast.Attribute) else None
    if name != "create_task":
        return False
    return owner is None or _last(owner).strip("_") in ("asyncio", "loop", "get_running_loop")


def _last(node: ast.AST) -> str:
    """The last name of `a.b.c`, `a.b.c()` or `c`."""
    if isinstance(node, ast.Call):
        return _last(node.func)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def unused_reasons(sources: Iterable[Source], reserved: Mapping[str, str] = RESERVED) -> list[str]:
    """Rows of the table that nobody raises, and reserved ones that somebody does by now."""
    written = {
        node.value
        for source in sources
        for node in ast.walk(ast.parse(source.text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    idle = [f"{r} is raised nowhere: remove it" for r in REASONS if r not in written | {*reserved}]
    busy = [f"{r} is in use: take it off RESERVED" for r in reserved if r in written]
    unknown = [f"{r} is reserved and not in the table" for r in reserved if r not in REASONS]
    return [*idle, *busy, *unknown]


def sources() -> list[Source]:
    """Every Python file that is ours: known to git, or new and not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [p for p in found.splitlines() if not p.startswith(GENERATED) and (ROOT / p).exists()]
    return [Source(path, (ROOT / path).read_text()) for path in sorted(set(paths))]


def raising(everything: Iterable[Source]) -> list[Source]:
    """The product alone: tests and tools do not count as users of a reason."""
    apart = ("tests/", "tools/", "multicloud/errors.py")
    return [source for source in everything if not source.path.startswith(apart)]


def main() -> int:
    everything = sources()
    found = [fault for source in everything for fault in faults(source)]
    found += unused_reasons(raising(everything))
    print("\n".join(found) or f"house: {len(everything)} files keep the rules")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
