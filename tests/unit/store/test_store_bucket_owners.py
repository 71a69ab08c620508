"""Whose a volume in a bucket is: one daemon's at a time, found again by listing, and adopted."""

from pathlib import Path

import pytest

from multicloud.errors import McError
from nodeagent.clouds.memory import MemoryBucket
from nodeagent.store.bucket import journal
from nodeagent.store.bucket.layout import Keys
from nodeagent.store.contract import Pin, VolumeState
from tests.unit.store.bucket_world import PREFIX, BucketWorld, memory_bucket
from tests.unit.store.store_world import bytes_of, chunk_of, ids_of, put, reason_of

KEYS = Keys(PREFIX)


async def test_a_node_that_lost_its_disk_finds_everything_by_listing(tmp_path: Path) -> None:
    bucket = memory_bucket()
    world = BucketWorld(bucket, tmp_path)
    store = await world.open()
    live, trashed, bad = (chunk_of(n) for n in range(3))
    for chunk in (live, trashed, bad):
        await put(store, chunk, None)
    await store.have([live.id], Pin("job-1"))
    await store.trash(trashed.id, "no root")
    world.spoil(bucket, bad.id, 0)
    assert await reason_of(store.read(bad.id)) == "DAMAGE"
    aside = await store.evidence(), [(one.why, one.held.chunk_id) for one in await store.trashed()]
    await store.close()
    world.wipe()
    again = await world.open(expected=store.volume)
    assert await ids_of(again.list()) == [live.id]
    assert await bytes_of(again, live) == live.file
    assert await again.pins(live.id) == [Pin("job-1")]
    found = [(one.why, one.held.chunk_id) for one in await again.trashed()]
    assert (await again.evidence(), found) == aside
    assert again.volume == store.volume
    await again.close()


async def test_another_node_is_refused_and_told_how_to_adopt(tmp_path: Path) -> None:
    world = BucketWorld(memory_bucket(), tmp_path)
    store = await world.open("node-1")
    with pytest.raises(McError) as caught:
        await world.open("node-2")
    assert caught.value.reason == "VOLUME_WRONG"
    assert "served by node node-1" in caught.value.message
    assert 'adopt_from = "node-1"' in caught.value.next
    await put(store, chunk_of(1))
    await store.close()


async def test_who_adopts_a_volume_has_all_of_it_and_who_had_it_changes_nothing_more(
    tmp_path: Path,
) -> None:
    bucket = memory_bucket()
    world = BucketWorld(bucket, tmp_path)
    old = await world.open("node-1")
    kept, trashed = chunk_of(1), chunk_of(2)
    await put(old, kept)
    await put(old, trashed, None)
    await old.trash(trashed.id, "no root")
    new = await world.open("node-2", adopt_from="node-1")
    assert new.volume == old.volume
    assert await bytes_of(new, kept) == kept.file
    assert [held.chunk_id for held in await new.have([trashed.id], Pin("job-2"))] == [trashed.id]
    # The first still lives, and does not know: it must neither promise nor delete anything.
    assert await reason_of(old.purge(trashed.id)) == "VOLUME_FAILED"
    assert await reason_of(old.have([kept.id], Pin("job-3"))) == "VOLUME_FAILED"
    assert await reason_of(old.put(10)) == "VOLUME_FAILED"
    assert old.health().state is VolumeState.FAILED
    assert await bytes_of(old, kept) == kept.file
    assert await bytes_of(new, trashed) == trashed.file
    await old.close()
    # When it comes back it does not take the volume again.
    assert await reason_of(world.open("node-1")) == "VOLUME_WRONG"
    assert await reason_of(world.open("node-3", adopt_from="node-1")) == "VOLUME_WRONG"
    await new.close()


async def test_a_copy_of_a_daemon_takes_the_volume_from_the_one_before(tmp_path: Path) -> None:
    world = BucketWorld(memory_bucket(), tmp_path)
    old, new = await world.open(), await world.open()
    await put(new, chunk_of(1))
    assert await reason_of(put(old, chunk_of(2))) == "VOLUME_FAILED"
    await old.tend()
    assert "another daemon" in old.health().why
    for store in (old, new):
        await store.close()


async def test_of_two_who_begin_at_once_one_is_refused(tmp_path: Path) -> None:
    bucket = memory_bucket()
    world = BucketWorld(bucket, tmp_path)
    first = await world.open()
    await first.close()
    one, other = journal.Journal(bucket, KEYS, "a"), journal.Journal(bucket, KEYS, "b")
    await one.load()
    await other.load()
    await one.own(["own", "node-1", "a", 0.0])
    assert await reason_of(other.own(["own", "node-1", "b", 0.0])) == "VOLUME_WRONG"


async def test_who_lost_the_volume_learns_it_also_when_the_journal_was_summed_up_since(
    tmp_path: Path,
) -> None:
    bucket = memory_bucket()
    world = BucketWorld(bucket, tmp_path)
    old = await world.open("node-1")
    await put(old, chunk_of(0))
    new = await world.open("node-2", adopt_from="node-1")
    for number in range(journal.ENTRIES_MAX + 5):
        await new.have([chunk_of(0).id], Pin(f"job-{number}"))
    entries = _entries(bucket)
    await new.tend()
    assert len(_entries(bucket)) == 2 < len(entries)  # The first words of both owners.
    assert await reason_of(put(old, chunk_of(1))) == "VOLUME_FAILED"
    await put(new, chunk_of(2), Pin("last"))
    await new.close()
    again = await world.open("node-2")
    assert len(await again.pins(chunk_of(0).id)) == journal.ENTRIES_MAX + 5
    assert await again.pins(chunk_of(2).id) == [Pin("last")]
    for store in (old, again):
        await store.close()


async def test_chunks_without_a_mark_and_another_volume_are_refused(tmp_path: Path) -> None:
    bucket = memory_bucket()
    world = BucketWorld(bucket, tmp_path)
    store = await world.open()
    await put(store, chunk_of(1))
    await store.close()
    assert await reason_of(world.open(expected="another")) == "VOLUME_WRONG"
    del bucket.objects[KEYS.identity]
    assert await reason_of(world.open()) == "VOLUME_WRONG"


async def test_a_gap_in_the_journal_is_no_volume(tmp_path: Path) -> None:
    bucket = memory_bucket()
    world = BucketWorld(bucket, tmp_path)
    store = await world.open()
    for number in range(3):
        await put(store, chunk_of(number))
    await store.close()
    del bucket.objects[KEYS.entry(2)]
    with pytest.raises(McError, match="journal has a gap"):
        await world.open()


def _entries(bucket: MemoryBucket) -> list[str]:
    return [key for key in bucket.objects if key.startswith(KEYS.journal)]
