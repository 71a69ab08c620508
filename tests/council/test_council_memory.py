"""What a member answered survives; what is damaged, foreign or lost never answers in its name."""

import asyncio
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random

import pytest

from coordinator.council.acceptor import Memory
from coordinator.council.registers import (
    Accept,
    Ballot,
    Epoch,
    Install,
    Prepare,
    Promised,
    Refused,
    Seal,
    Sealed,
    Seat,
    State,
    Took,
)
from multicloud.errors import McError
from nodeagent.council.member import Member
from nodeagent.council.memory import FILE

NODE = "a" * 16
OTHER = Seat("b" * 16, "other")


class Disk:
    """A node's folder, opened again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.volumes = count(1)
        self.opened: list[Member] = []

    def open(self, node: str = NODE, folder: Path | None = None) -> Member:
        def new_volume() -> str:
            return f"volume-{next(self.volumes)}"

        member = Member.open(folder or self.folder, node, first_start=True, new_volume=new_volume)
        self.opened.append(member)
        return member

    def again(self, member: Member) -> Member:
        member.close()
        self.opened.remove(member)
        return self.open()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "council")
    yield made
    for member in made.opened:
        member.close()


def seat_of(member: Member) -> Seat:
    assert member.seat
    return member.seat


async def founded(disk: Disk) -> tuple[Member, Seat]:
    member = disk.open()
    seat = seat_of(member)
    await member.answer(seat, Install(Epoch(1, (seat, OTHER)), {}))
    return member, seat


def ballot(round_: int) -> Ballot:
    return Ballot(1, round_, "p")


def state(version: int) -> State:
    return State(version - 1).changed(b"v%d" % version, f"o{version}")


async def test_promises_and_acceptances_are_there_after_a_restart(disk: Disk) -> None:
    member, seat = await founded(disk)
    assert isinstance(await member.answer(seat, Prepare("k", ballot(3))), Promised)
    assert await member.answer(seat, Accept("k", ballot(3), state(1))) == Took()
    await member.answer(seat, Prepare("k", ballot(5)))
    member = disk.again(member)
    assert seat_of(member) == seat
    assert member.epoch == Epoch(1, (seat, OTHER))
    refused = await member.answer(seat, Accept("k", ballot(4), state(2)))
    assert refused == Refused(member.epoch, sealed=False, promised=ballot(5))
    told = await member.answer(seat, Prepare("k", ballot(6)))
    assert isinstance(told, Promised)
    assert (told.accepted.ballot, told.accepted.state) == (ballot(3), state(1))


async def test_a_seal_and_a_next_epoch_are_there_after_a_restart(disk: Disk) -> None:
    member, seat = await founded(disk)
    await member.answer(seat, Accept("k", ballot(1), state(1)))
    await member.answer(seat, Accept("gone", ballot(1), state(1)))
    await member.answer(seat, Seal(1))
    member = disk.again(member)
    refused = await member.answer(seat, Prepare("k", ballot(9)))
    assert isinstance(refused, Refused)
    assert refused.sealed
    carried = await member.answer(seat, Seal(1))
    assert isinstance(carried, Sealed)
    kept = {"k": carried.registers["k"]}
    await member.answer(seat, Install(Epoch(2, (seat,)), kept))
    member = disk.again(member)
    assert (member.epoch.number, dict(member.accepted())) == (2, kept)


async def test_whatever_was_answered_is_in_a_copy_of_the_files_of_that_moment(
    disk: Disk, tmp_path: Path
) -> None:
    member, seat = await founded(disk)

    async def change(number: int) -> None:
        await member.answer(seat, Accept(f"k{number}", ballot(1), state(1)))
        copy = tmp_path / f"copy-{number}"
        shutil.copytree(disk.folder, copy)
        assert f"k{number}" in disk.open(folder=copy).accepted()

    await asyncio.gather(*map(change, range(8)))


async def test_an_answer_that_changed_nothing_waits_for_what_it_rests_on(disk: Disk) -> None:
    member, seat = await founded(disk)
    epoch = Epoch(2, (seat,))
    first, second = await asyncio.gather(
        member.answer(seat, Install(epoch, {})), member.answer(seat, Install(epoch, {}))
    )
    assert first == second == Took()
    assert member._last is not None
    assert member._last.done()


async def test_one_node_has_another_name_when_its_file_is_lost(disk: Disk) -> None:
    member, seat = await founded(disk)
    member.close()
    disk.opened.clear()
    (disk.folder / FILE).unlink()
    member = disk.open()
    assert seat_of(member) != seat
    assert member.epoch == Epoch()
    with pytest.raises(McError) as caught:
        await member.answer(seat, Prepare("k", ballot(1)))
    assert caught.value.reason == "NOT_FOUND"


async def test_a_file_of_another_node_closes_the_member(disk: Disk) -> None:
    member, seat = await founded(disk)
    member.close()
    disk.opened.clear()
    member = disk.open(node="c" * 16)
    assert member.seat is None
    assert member.trouble
    assert member.trouble.reason == "DAMAGE"
    assert "belongs to node" in member.trouble.message
    with pytest.raises(McError) as caught:
        await member.answer(seat, Prepare("k", ballot(1)))
    assert caught.value.reason == "DAMAGE"


async def test_a_damaged_file_closes_the_member_or_holds_exactly_what_was_written(
    disk: Disk,
) -> None:
    member, seat = await founded(disk)
    for number in range(6):
        large = State(1, bytes([number]) * 1500)
        await member.answer(seat, Accept(f"k{number}", ballot(2), large))
    member.close()
    disk.opened.clear()
    whole = (disk.folder / FILE).read_bytes()
    good = memory_of(disk)
    rng, closed = Random(5), 0
    for _ in range(200):
        spoilt = bytearray(whole)
        spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
        closed += spoils(disk, bytes(spoilt), good)
    for length in (0, 1, 100, 4096, len(whole) - 4096, len(whole) - 1):
        closed += spoils(disk, whole[:length], good)
    page = 4096
    for at in range(0, len(whole), page):  # A page that never reached the disk.
        closed += spoils(disk, whole[:at] + bytes(page) + whole[at + page :], good)
    assert closed > 40, "too few of them were noticed to prove anything"


def spoils(disk: Disk, content: bytes, good: Memory) -> bool:
    (disk.folder / FILE).write_bytes(content)
    member = disk.open()
    if member.trouble:
        assert member.trouble.reason in ("DAMAGE", "VOLUME_FAILED")
        assert member.seat is None
        assert (disk.folder / FILE).read_bytes() == content, "the evidence was changed"
        disk.opened.remove(member)
        return True
    assert member.file
    assert member.file.memory == good
    member.close()
    disk.opened.remove(member)
    return False


def memory_of(disk: Disk) -> Memory:
    member = disk.open()
    assert member.file
    member.close()
    disk.opened.remove(member)
    return member.file.memory


async def test_a_write_that_failed_closes_the_member_until_it_is_opened_again(disk: Disk) -> None:
    member, seat = await founded(disk)
    await member.answer(seat, Accept("k", ballot(1), state(1)))
    assert member.file
    connection = member.file.database.connection
    ((pages,),) = connection.execute("PRAGMA page_count").fetchall()
    connection.execute(f"PRAGMA max_page_count={pages}").fetchall()  # A full disk.
    large = State(2, b"x" * 30_000)
    for _ in range(2):
        with pytest.raises(McError) as caught:
            await member.answer(seat, Accept("k", ballot(2), large))
        assert caught.value.reason == "VOLUME_FAILED"
    assert member.seat is None
    member = disk.again(member)
    assert member.accepted()["k"].state == state(1)


async def test_only_a_file_of_the_first_start_may_found_and_only_once(
    disk: Disk, tmp_path: Path
) -> None:
    assert disk.open().may_found
    member = disk.again(disk.opened[0])
    assert member.may_found
    await member.answer(seat_of(member), Install(Epoch(1, (seat_of(member),)), {}))
    assert not member.may_found
    assert not disk.again(member).may_found
    later = Member.open(tmp_path / "later", NODE, first_start=False, new_volume=lambda: "volume-x")
    disk.opened.append(later)
    assert not later.may_found
