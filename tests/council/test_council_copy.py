"""A copy of the decisions: newest versions win, changes are told once, a damaged one is fetched."""

from collections.abc import AsyncIterator, Coroutine, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from coordinator.council.registers import NEXT_KEY, Epoch, Seat, State
from multicloud.errors import McError
from nodeagent.council.contract import EPOCH_KEY, Register
from nodeagent.council.copy import FILE, Copy
from nodeagent.council.pulling import Pulling

IDS = count(1)
EPOCH = Epoch(3, (Seat("n1", "v1"), Seat("n2", "v2")))


class Folders:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.open_: list[Copy] = []

    def open(self, name: str) -> Copy:
        copy = Copy.open(self.folder / name, lambda: f"copy-{next(IDS)}")
        self.open_.append(copy)
        return copy

    def again(self, name: str, copy: Copy) -> Copy:
        copy.close()
        self.open_.remove(copy)
        return self.open(name)


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Folders]:
    made = Folders(tmp_path)
    yield made
    for copy in made.open_:
        copy.close()


def state(version: int) -> State:
    return State(version, b"v%d" % version)


def test_the_newest_version_wins_in_whatever_order_they_come(folders: Folders) -> None:
    copy = folders.open("a")
    assert copy.put("k", state(2))
    assert not copy.put("k", state(1))
    assert not copy.put("k", state(2))
    assert not copy.put(NEXT_KEY, state(9)), "who comes next is the members' own matter"
    assert copy.list() == [Register("k", 2, b"v2")]


def test_it_knows_all_after_a_restart_and_goes_on_counting(folders: Folders) -> None:
    copy = folders.open("a")
    copy.learn(EPOCH)
    copy.put("k", state(1))
    before = copy.digest()
    copy = folders.again("a", copy)
    assert (copy.epoch, copy.digest()) == (EPOCH, before)
    copy.put("l", state(1))
    assert [r.key for r in copy.since(before.sequence)] == ["l"]
    assert [r.key for r in copy.since(0)] == [EPOCH_KEY, "k", "l"]


def test_equal_copies_have_equal_hashes_however_they_came_about(folders: Folders) -> None:
    a, b = folders.open("a"), folders.open("b")
    a.put("k", state(1))
    a.put("l", state(1))
    a.put("k", state(4))
    b.put("k", state(4))
    assert a.digest().hash != b.digest().hash
    b.put("l", state(1))
    assert a.digest().hash == b.digest().hash
    assert a.digest().copy != b.digest().copy


@pytest.mark.parametrize("content", [b"", b"no database at all", None])
def test_a_damaged_copy_begins_anew_under_another_name(
    folders: Folders, content: bytes | None
) -> None:
    copy = folders.open("a")
    copy.put("k", state(1))
    old = copy.id
    copy.close()
    folders.open_.remove(copy)
    file = folders.folder / "a" / FILE
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if content is None else content)
    copy = folders.open("a")
    assert copy.id != old
    assert (copy.list(), copy.sequence) == ([], 0)


class Other:
    """Another node's copy, as it is asked over the wire."""

    def __init__(self, copy: Copy) -> None:
        self.copy, self.asked, self.away = copy, list[int](), False

    async def changes(
        self, node: str, after: int, timeout_s: float
    ) -> AsyncIterator[tuple[str, State]]:
        self.asked.append(after)
        for register in self.copy.since(after):
            if self.away:
                raise McError("UNREACHABLE", "the stream broke")
            found = register.state
            yield register.key, State(found.version, found.value)


async def test_only_what_is_missing_is_fetched_and_again_when_it_broke_off(
    folders: Folders,
) -> None:
    ours, theirs = folders.open("ours"), folders.open("theirs")
    other = Other(theirs)
    work: list[Coroutine[Any, Any, None]] = []
    pulling = Pulling(ours, other, work.append, lambda: None)

    async def greeted() -> None:
        pulling.heard("n2", theirs.digest())
        while work:
            await work.pop()

    theirs.learn(EPOCH)
    theirs.put("k", state(1))
    other.away = True
    await greeted()
    other.away = False
    await greeted()
    theirs.put("l", state(1))
    await greeted()
    await greeted()
    assert other.asked == [0, 0, 2]
    assert (ours.epoch, ours.list()) == (EPOCH, theirs.list())
    ours.put("only/here", state(1))
    await greeted()
    assert other.asked == [0, 0, 2], "they lack something, not we"
    folders.open_.remove(theirs)
    theirs.close()
    (folders.folder / "theirs" / FILE).unlink()
    theirs = other.copy = folders.open("theirs")
    theirs.put("new", state(1))
    await greeted()
    assert other.asked[-1] == 0, "a copy that was lost counts anew"
    assert pulling.epoch_heard == EPOCH.number
