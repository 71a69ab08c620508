"""A process that is killed at its n-th call to a real file system leaves all that it was told."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from nodeagent.store.local.files import RealFiles
from tests.crash.asking import ask
from tests.crash.child import Order, facts_of, line_of
from tests.crash.ground import open_real
from tests.crash.owed import Owed
from tests.crash.points import Found
from tests.crash.scenes import A, B, C, D
from tests.support.disks import judge_folder

SCENES_KILLED = ("puts, an abort, a read", "put, trash, purge", "three puts in one group")
SIGKILL = -9


class Forks:
    """Starts children by orders, one after the other."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def obey(self, order: Order) -> int:
        """How the child ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line_of(order))
        self._process.stdin.flush()
        return int(json.loads(self._process.stdout.readline())["code"])

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    running = Forks()
    yield running
    running.close()


@pytest.fixture(scope="module")
async def empty(quick_folder: Path) -> Path:
    """A volume that was opened once: the calls of that are in the points' `first opening`."""
    folder = quick_folder / "empty"
    await (await open_real(RealFiles(), folder)).close()
    return folder


@pytest.mark.parametrize("name", SCENES_KILLED)
@pytest.mark.parametrize(
    "step",
    [pytest.param(6, id="some"), pytest.param(1, id="all", marks=pytest.mark.slow)],
)
@pytest.mark.timeout(1200)
async def test_killed_at_any_call_it_has_all_that_was_told(
    name: str, step: int, forks: Forks, empty: Path, quick_folder: Path, tally: Found
) -> None:
    killed = 0
    for at in count(1, step):
        codes = set()
        for after in (False, True):
            folder = quick_folder / f"{at}-{after}"
            shutil.copytree(empty, folder)
            order = Order(str(folder), f"{folder}.facts", name, at, after)
            codes.add(forks.obey(order))
            assert not await wrong_in(folder, Path(order.facts)), order
            shutil.rmtree(folder)
            Path(order.facts).unlink(missing_ok=True)
        assert codes <= {0, SIGKILL}
        killed += SIGKILL in codes
        if 0 in codes:
            break
    assert killed > 20 // step
    tally.count["calls at which a process was killed"] += killed


async def wrong_in(folder: Path, facts: Path) -> list[str]:
    told = facts_of(facts.read_bytes()) if facts.exists() else []
    owed = Owed()
    for fact in told:
        owed.hear(fact)
    files = {one.id: one.file for one in (A, B, C, D)}
    verdict = judge_folder(folder)
    wrong = verdict.faults() + owed.missing(verdict, files)
    store = await open_real(RealFiles(), folder)
    try:
        wrong += [f"{path} was left" for path in judge_folder(folder).unfinished]
        wrong += await ask(store, owed, files)
    finally:
        await store.close()
    return wrong
