"""What a restart finds after a crash, a lost index or a torn journal; and puts that end in the
middle: nothing acknowledged is lost, nothing half done is seen.
"""

import asyncio
import errno
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from nodeagent.store.contract import Committed, Pin
from nodeagent.store.local.sinks import BUFFER_BYTES
from nodeagent.store.pins import end_line
from tests.support.chunks import Chunk
from tests.unit.store.local_world import OPTIONS, LocalWorld, QuietDisk
from tests.unit.store.store_world import (
    JOB,
    bytes_of,
    chunk_of,
    ids_of,
    large_chunk,
    put,
    reason_of,
)

DIRECT = replace(OPTIONS, write="direct")


@pytest.fixture
def world(tmp_path: Path) -> LocalWorld:
    return LocalWorld(tmp_path / "v", QuietDisk())


@pytest.mark.parametrize("harm", ["deleted", "noise", "emptied"])
async def test_without_its_index_a_volume_answers_the_same(world: LocalWorld, harm: str) -> None:
    live, binned, bad = (chunk_of(number) for number in range(3))
    async with world.open() as store:
        for chunk in (live, binned, bad):
            await put(store, chunk, None)
        await store.have([live.id], JOB)
        await store.trash(binned.id, "no root")
        world.path(bad.id).write_bytes(b"bad")
        await reason_of(store.read(bad.id))
        before = (await store.evidence(), await store.pins(live.id), store.health().bytes_used)
    for path in world.folder.glob("index.db*"):
        path.unlink()
    if harm != "deleted":
        noise = os.urandom(20_000) if harm == "noise" else b""
        (world.folder / "index.db").write_bytes(noise)
    world.told.clear()
    async with world.open() as store:
        assert await ids_of(store.list()) == [live.id]
        assert (await store.evidence(), await store.pins(live.id), store.health().bytes_used) == (
            before
        )
        [trashed] = await store.trashed()
        assert (trashed.held.chunk_id, trashed.why) == (binned.id, "no root")
        [held] = await store.find([live.id])
        assert held.verified_unix_s == 0  # Not known to be good: it is checked before it counts.
        world.path(live.id).write_bytes(b"bad")
        assert await store.have([live.id], JOB) == []
        assert await bytes_of(store, binned) == binned.file
        assert store.health().why == ""
        assert [held.chunk_id for held, _ in world.told] == [live.id]


async def test_the_index_keeps_when_each_chunk_was_checked(world: LocalWorld) -> None:
    chunk = chunk_of(1)
    async with world.open() as store:
        await put(store, chunk)
        world.clock.now_s += 100
        await store.verify(chunk.id)
    async with world.open() as store:
        [held] = await store.find([chunk.id])
        assert held.verified_unix_s == world.clock()
        assert held.stored_unix_s == world.clock() - 100
        assert await store.stalest(1) == [held]


async def test_a_chunk_that_vanished_while_nobody_looked_is_told_at_the_start(
    world: LocalWorld,
) -> None:
    gone, purged = chunk_of(1), chunk_of(2)
    async with world.open() as store:
        done = await put(store, gone)
        await put(store, purged, None)
        await store.trash(purged.id, "no root")
        await store.purge(purged.id)
    world.path(gone.id).unlink()
    async with world.open() as store:
        assert [held for held, _ in world.told] == [done.held]
        assert await store.find([gone.id]) == []
    world.told.clear()
    async with world.open():
        assert world.told == []  # It was said once.


async def test_a_file_of_another_size_than_the_index_knows_is_not_fresh(world: LocalWorld) -> None:
    chunk = chunk_of(1)
    async with world.open() as store:
        await put(store, chunk)
    os.truncate(world.path(chunk.id), len(chunk.file) - 1)
    async with world.open() as store:
        assert await store.have([chunk.id], JOB) == []
        assert len(await store.evidence()) == 1


async def test_what_lies_in_tmp_goes_at_the_start(world: LocalWorld) -> None:
    async with world.open():
        pass
    (world.folder / "tmp" / "0").write_bytes(b"half a chunk")
    async with world.open() as store:
        assert world.drafts() == []
        await put(store, chunk_of(1))


@pytest.mark.parametrize("cut", [1, 20, 60])
async def test_a_torn_end_of_the_journal_is_ignored(world: LocalWorld, cut: int) -> None:
    chunks = [chunk_of(number) for number in range(3)]
    async with world.open() as store:
        for chunk in chunks:
            await put(store, chunk)
    journal = world.folder / "pins.journal"
    os.truncate(journal, journal.stat().st_size - cut)
    async with world.open() as store:
        assert [len(await store.pins(chunk.id)) for chunk in chunks] == [1, 1, 0]
        await store.have([chunks[2].id], JOB)
        assert store.health().why == ""
    async with world.open() as store:
        assert [len(await store.pins(chunk.id)) for chunk in chunks] == [1, 1, 1]


async def test_a_line_of_the_journal_that_does_not_read_is_said_and_costs_no_other(
    world: LocalWorld,
) -> None:
    chunks = [chunk_of(number) for number in range(3)]
    async with world.open() as store:
        for chunk in chunks:
            await put(store, chunk)
    journal = world.folder / "pins.journal"
    lines = journal.read_bytes().split(b"\n")
    lines[1] = lines[1].replace(b"job", b"jab")
    journal.write_bytes(b"\n".join(lines))
    async with world.open() as store:
        assert [len(await store.pins(chunk.id)) for chunk in chunks] == [1, 0, 1]
        assert "journal of pins" in store.health().why


async def test_a_pin_that_was_refused_never_counts_and_the_next_one_does(
    world: LocalWorld,
) -> None:
    chunk, other = chunk_of(1), chunk_of(2)
    async with world.open() as store:
        await put(store, chunk, None)
        await put(store, other, None)
        await store.have([chunk.id], Pin("peer"))
        # A write of many lines that gets half way, with the end of "peer" among them.
        await _short_write(world, store.unpin("peer"))
        await store.have([other.id], Pin("p"))
        await store.have([chunk.id], Pin("peer"))
    async with world.open() as store:
        assert await store.pins(chunk.id) == [Pin("peer")]
        assert await store.pins(other.id) == [Pin("p")]


async def _short_write(world: LocalWorld, call: object) -> None:
    """The bytes are there, and the call failed."""
    journal = world.folder / "pins.journal"

    def write_first(where: str) -> None:
        if where.endswith("pins.journal"):
            with journal.open("ab") as file:
                file.write(b"torn line of a long write\n" + end_line("peer"))

    world.files.before["pwrite"] = write_first
    fault = world.files.fail("pwrite", errno.ENOSPC, "pins.journal")
    assert await reason_of(call) == "NO_ROOM"  # type: ignore[arg-type]
    assert fault.seen == 1
    del world.files.before["pwrite"]
    world.files.heal()


async def test_pins_that_ended_are_not_kept_over_a_restart(world: LocalWorld) -> None:
    chunk = chunk_of(1)
    async with world.open() as store:
        await put(store, chunk, Pin("promise", world.clock() + 10))
        await store.have([chunk.id], Pin("job"))
        await store.unpin("job")
    world.clock.now_s += 11
    async with world.open():
        pass
    assert (world.folder / "pins.journal").read_bytes() == b""


async def test_a_commit_whose_caller_is_cancelled_ends_whole(world: LocalWorld) -> None:
    async with world.open() as store:
        gate, here = asyncio.Event(), asyncio.get_running_loop()
        held = _hold(world, "datasync", "/v/tmp/", here, gate)
        chunk = chunk_of(1)
        async with asyncio.TaskGroup() as group:
            putting = group.create_task(put(store, chunk))
            await gate.wait()
            putting.cancel()
        assert putting.cancelled()
        held.set()
    async with world.open() as store:
        assert world.drafts() == []
        assert await bytes_of(store, chunk) == chunk.file


async def test_a_put_whose_caller_is_cancelled_while_it_opens_leaves_nothing(
    world: LocalWorld,
) -> None:
    async with world.open() as store:
        free = store.health().bytes_free
        gate, here = asyncio.Event(), asyncio.get_running_loop()
        held = _hold(world, "allocate", "/v/tmp/", here, gate)
        async with asyncio.TaskGroup() as group:
            opening = group.create_task(store.put(1 << 20))
            await gate.wait()
            opening.cancel()
        assert opening.cancelled()
        held.set()
        while world.drafts():
            await asyncio.sleep(0.001)
        await put(store, chunk_of(1))
        assert store.health().bytes_free == free


def _hold(world: LocalWorld, call: str, path: str, loop, gate):  # type: ignore[no-untyped-def]
    """Holds the next such call in its thread until the answer is set; `gate` says it is there."""
    go_on = threading.Event()

    def hold(where: str) -> None:
        if path in where and not go_on.is_set():
            loop.call_soon_threadsafe(gate.set)
            assert go_on.wait(30)

    world.files.before[call] = hold
    return go_on


async def test_a_store_that_closes_aborts_its_running_puts(world: LocalWorld) -> None:
    async with world.open() as store:
        writing = await store.put(1 << 20)
        await writing.write(bytes(1000))
    assert world.drafts() == []
    assert await reason_of(writing.write(b"x")) == "FAILED"


async def test_puts_that_are_ready_together_share_their_commit(world: LocalWorld) -> None:
    async with world.open() as store:
        gate, here = asyncio.Event(), asyncio.get_running_loop()
        held = _hold(world, "datasync", "pins.journal", here, gate)
        chunks = [chunk_of(number) for number in range(40)]
        async with asyncio.TaskGroup() as group:
            group.create_task(put(store, chunks[0]))
            await gate.wait()
            for chunk in chunks[1:]:
                group.create_task(put(store, chunk))
            while len(world.files.of("close", "/v/tmp/")) < len(chunks):
                await asyncio.sleep(0.001)
            held.set()
        assert len(world.files.of("datasync", "pins.journal")) <= 4
        assert store.health().chunks == len(chunks)


async def test_the_same_chunk_put_many_times_at_once_is_stored_once(world: LocalWorld) -> None:
    async with world.open() as store:
        chunk = chunk_of(1)
        done: list[Committed] = await asyncio.gather(
            *(put(store, chunk, Pin(f"job-{number}")) for number in range(12))
        )
        assert sum(not one.already for one in done) == 1
        assert len(await store.pins(chunk.id)) == 12
        assert world.drafts() == []
        assert store.health().chunks == 1


async def test_many_readers_share_few_threads(world: LocalWorld) -> None:
    async with world.open(replace(OPTIONS, readers_max=3)) as store:
        chunks = [chunk_of(number, 6) for number in range(10)]
        for chunk in chunks:
            await put(store, chunk)
        found = await asyncio.gather(*(bytes_of(store, chunk) for chunk in chunks * 6))
        assert found == [chunk.file for chunk in chunks] * 6
        readers = [one for one in threading.enumerate() if one.name.startswith("read")]
        assert len(readers) <= 3


@pytest.mark.parametrize(
    "size", [2 * BUFFER_BYTES - 7000, 3 * BUFFER_BYTES + 1, 5 * BUFFER_BYTES - 4096]
)
async def test_large_files_written_past_the_page_cache_are_bit_for_bit(
    world: LocalWorld, size: int
) -> None:
    chunk = large_chunk(size)
    async with world.open(replace(DIRECT, direct_bytes_min=0)) as store:
        if not store.writes_direct:
            pytest.skip("this system cannot")
        await _put_in_pieces(store, chunk)
        assert store.writes_direct, "the volume refused"
        assert await bytes_of(store, chunk) == chunk.file
        assert world.path(chunk.id).stat().st_size == len(chunk.file)
        assert world.path(chunk.id).read_bytes() == chunk.file


async def _put_in_pieces(store, chunk: Chunk) -> None:  # type: ignore[no-untyped-def]
    writing = await store.put(len(chunk.file) + 100_000)
    for start in range(0, len(chunk.file), 1_000_003):
        await writing.write(chunk.file[start : start + 1_000_003])
    await writing.commit(chunk.envelope(), JOB)


async def test_where_direct_writing_is_refused_the_page_cache_is_used(world: LocalWorld) -> None:
    real = world.files.inner

    class Refusing:
        def open(self, path: str, flags: int) -> int:
            if flags & os.O_DIRECT:
                raise OSError(errno.EINVAL, "no")
            return real.open(path, flags)

        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

    world.files.inner = Refusing()  # type: ignore[assignment]
    chunk = chunk_of(1)
    async with world.open(replace(DIRECT, direct_bytes_min=0)) as store:
        await put(store, chunk)
        assert not store.writes_direct
        assert await bytes_of(store, chunk) == chunk.file
    async with world.open(replace(OPTIONS, write="auto")) as store:
        assert not store.writes_direct


async def test_the_trial_of_both_ways_leaves_nothing(world: LocalWorld) -> None:
    async with world.open(replace(OPTIONS, write="auto")) as store:
        assert world.drafts() == []
        await put(store, chunk_of(1))
