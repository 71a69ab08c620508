"""Each fault of a disk has its typed answer, and everything that need not suffer goes on."""

import asyncio
import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nodeagent.store.contract import Pin, VolumeState
from nodeagent.store.local.files import Room, Stat
from tests.unit.store.local_world import OPTIONS, LocalWorld, QuietDisk, spoil
from tests.unit.store.store_world import JOB, bytes_of, chunk_of, put, reason_of


@pytest.fixture
def world(tmp_path: Path) -> LocalWorld:
    return LocalWorld(tmp_path / "v", QuietDisk())


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["open", "allocate", "pwrite", "truncate"])
async def test_a_full_disk_refuses_puts_and_serves_all_else(
    world: LocalWorld, call: str, code: int
) -> None:
    async with world.open() as store:
        old, other, new = (chunk_of(number) for number in range(3))
        await put(store, old, None)
        await put(store, other, None)
        free = store.health().bytes_free
        world.files.fail(call, code, "/v/tmp/")
        assert await reason_of(_put_roomy(store, new)) == "NO_ROOM"
        assert await bytes_of(store, old) == old.file
        assert await store.trash(other.id, "no root")
        assert await store.purge(other.id) == len(other.file)
        assert len(await store.have([old.id], JOB)) == 1
        assert world.drafts() == []
        assert await store.find([new.id]) == []
        world.files.heal()
        await put(store, new)
        assert store.health().state is VolumeState.HEALTHY
        assert store.health().bytes_free == free


async def _put_roomy(store, chunk):  # type: ignore[no-untyped-def]
    """With more room than it needs, so that its file is cut at the end."""
    writing = await store.put(len(chunk.file) + 5000)
    try:
        await writing.write(chunk.file)
        return await writing.commit(chunk.envelope(), JOB)
    finally:
        await writing.abort()


@pytest.mark.parametrize(
    ("room", "why"),
    [
        (Room(1000 << 20, 50 << 20, 0, 0), "reserve"),
        (Room(1000 << 20, 900 << 20, 1000, 0), "inodes"),
    ],
)
async def test_above_the_watermark_a_volume_is_full(
    world: LocalWorld, room: Room, why: str
) -> None:
    async with world.open() as store:
        chunk = chunk_of(1)
        await put(store, chunk, None)
        world.files.answers["room"] = lambda _: room
        await (await store.put(1)).abort()  # It looks at the room.
        health = store.health()
        assert (health.state, health.bytes_free) == (VolumeState.FULL, 0)
        assert why in health.why
        assert await reason_of(store.put(1)) == "NO_ROOM"
        assert await bytes_of(store, chunk) == chunk.file
        assert len(await store.have([chunk.id], Pin("x"))) == 1


async def test_running_puts_hold_the_room_that_they_asked_for(world: LocalWorld) -> None:
    async with world.open() as store:
        world.files.fail("allocate", errno.EOPNOTSUPP)  # Room that no block stands for.
        free = store.health().bytes_free
        first = await store.put(free - 1000)
        assert await reason_of(store.put(10_000)) == "NO_ROOM"
        await first.abort()
        await (await store.put(10_000)).abort()


async def test_a_read_only_disk_serves_reads_also_from_the_trash(world: LocalWorld) -> None:
    async with world.open() as store:
        old, binned = chunk_of(1), chunk_of(2)
        await put(store, old, None)
        await put(store, binned, None)
        await store.trash(binned.id, "no root")
        for call in ("rename", "unlink", "allocate"):
            world.files.fail(call, errno.EROFS)
        assert await reason_of(put(store, chunk_of(3))) == "VOLUME_READ_ONLY"
        assert store.health().state is VolumeState.READ_ONLY
        for chunk in (old, binned):
            assert await bytes_of(store, chunk) == chunk.file
        assert await reason_of(store.trash(old.id, "x")) == "VOLUME_READ_ONLY"
        assert await reason_of(store.have([old.id], JOB)) == "VOLUME_READ_ONLY"
        assert await reason_of(store.unpin("x")) == "VOLUME_READ_ONLY"
        assert len(await store.trashed()) == 1


async def test_a_read_only_disk_opens_for_reading(world: LocalWorld) -> None:
    chunk = chunk_of(1)
    async with world.open() as store:
        await put(store, chunk)
    world.files.fail("rename", errno.EROFS)
    async with world.open() as store:
        assert store.health().state is VolumeState.READ_ONLY
        assert await bytes_of(store, chunk) == chunk.file
        assert [pin.holder for pin in await store.pins(chunk.id)] == [JOB.holder]


async def test_an_error_while_writing_fails_the_volume(world: LocalWorld) -> None:
    async with world.open() as store:
        old = chunk_of(1)
        await put(store, old)
        world.files.fail("pwrite", errno.EIO, "/v/tmp/")
        assert await reason_of(put(store, chunk_of(2))) == "VOLUME_FAILED"
        world.files.heal()
        assert await reason_of(put(store, chunk_of(2))) == "VOLUME_FAILED"
        assert store.health().state is VolumeState.FAILED
        assert await bytes_of(store, old) == old.file


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS])
@pytest.mark.parametrize(
    ("call", "path"), [("datasync", "/v/tmp/"), ("datasync", "pins"), ("sync_folder", "/v/chunks/")]
)
async def test_a_failed_sync_fails_the_volume_and_is_never_tried_again(
    world: LocalWorld, call: str, path: str, code: int
) -> None:
    async with world.open() as store:
        old, new = chunk_of(1), chunk_of(2)
        await put(store, old, None)
        fault = world.files.fail(call, code, path)
        assert await reason_of(put(store, new)) == "VOLUME_FAILED"
        assert fault.seen == 1
        assert await store.find([new.id]) == []
        assert await reason_of(store.read(new.id)) == "NOT_FOUND"
        world.files.heal()
        count = len(world.files.calls)
        refused = (
            put(store, new),
            store.trash(old.id, "x"),
            store.have([old.id], JOB),
            store.unpin("x"),
        )
        for call_again in refused:
            assert await reason_of(call_again) == "VOLUME_FAILED"
        assert await bytes_of(store, old) == old.file
        writing = {"datasync", "sync_folder", "pwrite", "rename", "unlink", "truncate"}
        assert not writing & {name for name, _ in world.files.calls[count:]}
    world.files.heal()
    async with world.open() as store:  # After a restart it may be used again.
        assert store.health().state is VolumeState.HEALTHY
        assert world.drafts() == []
        assert await bytes_of(store, old) == old.file
        await put(store, new)


async def test_nobody_of_a_batch_is_answered_with_yes_when_its_sync_fails(
    world: LocalWorld,
) -> None:
    async with world.open() as store:
        world.files.fail("sync_folder", errno.EIO, "/v/chunks/")
        chunks = [chunk_of(number) for number in range(8)]
        reasons = await asyncio.gather(*(reason_of(put(store, chunk)) for chunk in chunks))
        assert set(reasons) == {"VOLUME_FAILED"}
        assert store.health().chunks == 0


async def test_an_error_while_reading_is_damage(world: LocalWorld) -> None:
    async with world.open() as store:
        chunk = chunk_of(1)
        done = await put(store, chunk)
        world.files.fail("pread", errno.EIO, chunk.id.hex(), times=1)
        assert await reason_of(store.read(chunk.id)) == "DAMAGE"
        assert [held for held, _ in world.told] == [done.held]
        assert len(await store.evidence()) == 1
        assert not world.path(chunk.id).exists()
        assert not (await put(store, chunk)).already


async def test_a_short_supply_of_descriptors_is_no_fault_of_the_disk(world: LocalWorld) -> None:
    async with world.open() as store:
        chunk = chunk_of(1)
        await put(store, chunk)
        world.files.fail("open", errno.EMFILE)
        assert await reason_of(store.read(chunk.id)) == "TOO_BUSY"
        assert await reason_of(store.put(100)) == "TOO_BUSY"
        world.files.heal()
        assert await bytes_of(store, chunk) == chunk.file
        assert world.told == []
        assert store.health().state is VolumeState.HEALTHY


async def test_a_chunk_that_may_not_be_read_is_no_copy_and_stays_where_it_is(
    world: LocalWorld,
) -> None:
    async with world.open() as store:
        chunk = chunk_of(1)
        done = await put(store, chunk)
        world.files.fail("open", errno.EACCES, chunk.id.hex())
        assert await reason_of(store.read(chunk.id)) == "DAMAGE"
        assert [held for held, _ in world.told] == [done.held]
        assert world.path(chunk.id).exists()
        assert await store.find([chunk.id]) == []
        assert chunk.id.hex() in store.health().why
        assert store.health().state is VolumeState.HEALTHY
        world.files.heal()
        assert not (await put(store, chunk)).already
        assert await bytes_of(store, chunk) == chunk.file
        assert chunk.id.hex() not in store.health().why
        [kept] = (world.folder / "quarantine").iterdir()
        assert kept.read_bytes() == chunk.file


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [_fifo, _link, _folder])
async def test_what_is_no_file_in_a_chunks_place_is_never_opened_or_deleted(
    world: LocalWorld, make: Callable[[Path], None]
) -> None:
    async with world.open() as store:
        chunk = chunk_of(1)
        await put(store, chunk)
        world.path(chunk.id).unlink()
        make(world.path(chunk.id))
        opened = len(world.files.of("open", chunk.id.hex()))
        assert await reason_of(store.read(chunk.id)) == "DAMAGE"
        assert await store.have([chunk.id], JOB) == []
        assert len(world.files.of("open", chunk.id.hex())) == opened
        assert len(world.told) == 1
        assert os.path.lexists(world.path(chunk.id))
        assert chunk.id.hex() in store.health().why
    async with world.open() as store:  # Found by the walk too.
        assert await store.find([chunk.id]) == []
        assert chunk.id.hex() in store.health().why
        await put(store, chunk)
        assert await bytes_of(store, chunk) == chunk.file
        assert store.health().why == ""
        assert len(os.listdir(world.folder / "quarantine")) == 1


async def test_foreign_files_are_counted_named_and_left(world: LocalWorld) -> None:
    async with world.open():
        pass
    strange = [
        world.folder / "chunks" / "00" / "notes.txt",
        world.folder / "chunks" / "ab" / f"{'ac' * 32}.chunk",  # In another's shelf.
        world.folder / "trash" / "junk",
        world.folder / "quarantine" / "junk",
    ]
    for path in strange:
        path.write_text("mine")
    async with world.open() as store:
        why = store.health().why
        assert why.startswith("4 that can be no chunk")
        assert str(strange[0]) in why
        assert store.health().state is VolumeState.HEALTHY
        await put(store, chunk_of(1))
    assert all(path.read_text() == "mine" for path in strange)


async def test_another_disk_in_its_place_is_neither_loss_nor_written(world: LocalWorld) -> None:
    async with world.open() as store:
        chunk = chunk_of(1)
        await put(store, chunk)
        world.path(chunk.id).rename(world.folder / "hidden")

        def elsewhere(found: Stat) -> Stat:
            return replace(found, device=found.device + 1)

        world.files.answers["stat"] = elsewhere
        assert await reason_of(store.read(chunk.id)) == "VOLUME_FAILED"
        assert world.told == []
        assert "another disk" in store.health().why
        assert await reason_of(put(store, chunk_of(2))) == "VOLUME_FAILED"


async def test_a_disk_that_goes_away_is_noticed_without_being_asked(world: LocalWorld) -> None:
    async with world.open(replace(OPTIONS, look_every_s=0.02)) as store:
        (world.folder / "volume.json").unlink()
        while store.health().state is VolumeState.HEALTHY:
            await asyncio.sleep(0.01)
        assert "volume.json" in store.health().why


async def test_a_file_cut_short_or_grown_is_damage(world: LocalWorld) -> None:
    async with world.open() as store:
        for number, size in enumerate((0, 1, 5000, 100_000)):
            chunk = chunk_of(number)
            await put(store, chunk)
            os.truncate(world.path(chunk.id), size)
            assert await reason_of(store.read(chunk.id)) == "DAMAGE"
        assert len(await store.evidence()) == len(world.told) == 4


async def test_two_chunks_under_each_others_names_are_both_damage(world: LocalWorld) -> None:
    async with world.open() as store:
        one, other = chunk_of(1), chunk_of(2)
        for chunk in (one, other):
            await put(store, chunk)
        world.path(one.id).rename(world.folder / "x")
        world.path(other.id).rename(world.path(one.id))
        (world.folder / "x").rename(world.path(other.id))
        for chunk in (one, other):
            assert await reason_of(store.read(chunk.id)) == "DAMAGE"


async def test_a_chunk_that_was_replaced_while_it_was_read_is_not_put_aside(
    world: LocalWorld,
) -> None:
    async with world.open() as store:
        chunk = chunk_of(1, 5)
        await put(store, chunk)
        spoil(world.path(chunk.id), chunk.envelope().entries[4].offset_bytes)
        reading = await store.read(chunk.id)
        world.clock.now_s += 2 * 24 * 3600
        assert not (await put(store, chunk)).already  # Stale: it takes the damaged file's place.

        async def rest() -> None:
            async for _ in reading.frames():
                pass

        assert await reason_of(rest()) == "DAMAGE"
        await reading.close()
        assert world.told == []
        assert await bytes_of(store, chunk) == chunk.file
