"""The rules of the house hold in every file, and the checker that says so finds planted faults."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from multicloud.errors import REASONS
from tools import house
from tools.house import Source, faults, raising, unused_reasons

HEAD = '"""A file."""\n'


@pytest.fixture(scope="module")
def everything() -> list[Source]:
    return house.sources()


def test_every_file_keeps_the_rules(everything: list[Source]) -> None:
    assert [fault for source in everything for fault in faults(source)] == []


def test_every_reason_is_raised_or_reserved(everything: list[Source]) -> None:
    assert unused_reasons(raising(everything)) == []


def test_every_exception_to_a_rule_is_still_one(everything: list[Source]) -> None:
    listed = [source for source in everything if source.path in house.LONE_TASKS]
    assert {source.path for source in listed} == set(house.LONE_TASKS)
    assert [source.path for source in listed if not list(faults(source, {}))] == []


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("x = 1\n" * 400, "401 lines, 400 are allowed"),
        ("def f():\n" + "    x = 1\n" * 60, "f has 61 lines"),
        ("async def f():\n" + "    x = 1\n" * 60, "f has 61 lines"),
        ("asyncio.create_task(work())\n", "outside a TaskGroup"),
        ("asyncio.ensure_future(work())\n", "outside a TaskGroup"),
        ("create_task(work())\n", "outside a TaskGroup"),
        ("self._loop.create_task(work())\n", "outside a TaskGroup"),
        ("asyncio.get_running_loop().create_task(work())\n", "outside a TaskGroup"),
        ("x = 1  # TODO: more\n", "do it now"),
        ("# FIXME\n", "do it now"),
        ("from .errors import McError\n", "relative import"),
        ("from . import errors\n", "relative import"),
        ('raise McError("NO_SUCH_REASON", "x")\n', "NO_SUCH_REASON is no reason"),
        ('raise errors.McError("NO_SUCH_REASON", "x")\n', "NO_SUCH_REASON is no reason"),
    ],
)
def test_a_planted_fault_is_found(code: str, fault: str) -> None:
    found = list(faults(Source("nodeagent/planted.py", HEAD + code)))
    assert len(found) == 1
    assert fault in found[0]


@pytest.mark.parametrize(
    "code",
    [
        "x = 1\n" * 399,
        "def f():\n" + "    x = 1\n" * 59,
        "group.create_task(work())\n",
        "self._tasks.create_task(work())\n",
        'x = "TODO"\n',
        "from multicloud.errors import McError\n",
        'raise McError("USAGE", "x")\n',
        "raise McError(reason, text)\n",
    ],
)
def test_what_is_allowed_is_not_reported(code: str) -> None:
    assert list(faults(Source("nodeagent/planted.py", HEAD + code))) == []


@pytest.mark.parametrize(
    "path",
    ["nodeagent/utils.py", "mcctl/io_helpers.py", "identity/manager.py", "nodeagent/common/io.py"],
)
def test_a_name_that_says_nothing_is_found(path: str) -> None:
    (found,) = faults(Source(path, HEAD))
    assert "does not say" in found


def test_no_two_files_of_tests_outside_of_packages_share_a_name() -> None:
    """Else pytest collects the one and stops at the other."""
    root = Path(__file__).parents[1]
    files = [p for p in root.rglob("test_*.py") if not (p.parent / "__init__.py").exists()]
    names = Counter(path.name for path in files)
    assert [name for name, count in names.items() if count > 1] == []


def test_a_file_that_does_not_say_what_it_is_for_is_found() -> None:
    assert list(faults(Source("a.py", ""))) == []
    (found,) = faults(Source("a.py", "x = 1\n"))
    assert "what it is for" in found


def using(reasons: Iterable[str]) -> list[Source]:
    return [Source("nodeagent/all.py", "\n".join(f'McError("{r}", "")' for r in reasons))]


def test_a_row_of_the_table_that_nobody_raises_is_found() -> None:
    missing = [reason for reason in REASONS if reason != "STALLED"]
    assert unused_reasons(using(missing), {}) == ["STALLED is raised nowhere: remove it"]
    assert unused_reasons(using(missing), {"STALLED": "streams"}) == []


def test_a_reserved_row_that_is_in_use_or_gone_is_found() -> None:
    (busy,) = unused_reasons(using(REASONS), {"STALLED": "streams"})
    assert "take it off" in busy
    (unknown,) = unused_reasons(using(REASONS), {"GONE": "streams"})
    assert "not in the table" in unknown


def test_tests_and_tools_are_no_users_of_a_reason() -> None:
    paths = ["tests/a.py", "tools/a.py", "multicloud/errors.py", "mcctl/a.py"]
    assert [s.path for s in raising(Source(path, "") for path in paths)] == ["mcctl/a.py"]
