"""The store in memory keeps every promise of the contract, alone and as one of several volumes."""

import pytest

from nodeagent.store.contract import Pin, VolumeState
from nodeagent.store.memory import MemoryStore
from nodeagent.store.volumes import Volumes
from tests.unit.store.conformance import Conformance
from tests.unit.store.store_world import (
    Clock,
    World,
    bytes_of,
    chunk_of,
    ids_of,
    put,
    reason_of,
)


class TestMemoryStore(Conformance):
    @pytest.fixture
    def world(self) -> World:
        clock = Clock()
        store = MemoryStore("memory-1", clock=clock)
        return World(store, clock, store.spoil, store.lose)


def two(bytes_total: int = 1 << 20) -> tuple[Clock, MemoryStore, MemoryStore, Volumes]:
    clock = Clock()
    a = MemoryStore("a", clock=clock, bytes_total=bytes_total)
    b = MemoryStore("b", clock=clock, bytes_total=bytes_total)
    return clock, a, b, Volumes([a, b])


async def test_a_put_goes_where_most_room_is() -> None:
    _, a, b, volumes = two()
    for number in range(6):
        await put(volumes, chunk_of(number))
    assert a.health().chunks == b.health().chunks == 3
    assert volumes.health().chunks == 6
    assert set(volumes.healths()) == {"a", "b"}


async def test_what_one_volume_has_is_served_while_the_other_has_failed() -> None:
    _, a, b, volumes = two()
    chunks = [chunk_of(number) for number in range(4)]
    for chunk in chunks:
        await put(volumes, chunk, None)
    a.set_state(VolumeState.FAILED, "fsync failed")
    for chunk in chunks:
        assert await bytes_of(volumes, chunk) == chunk.file
    ids = [chunk.id for chunk in chunks]
    on_b = await b.find(ids)
    assert await volumes.have(ids, Pin("job")) == on_b
    assert (await put(volumes, chunk_of(9))).held.volume == "b"
    assert volumes.health().state is VolumeState.HEALTHY
    assert "fsync failed" in volumes.health().why
    b.set_state(VolumeState.READ_ONLY)
    assert await reason_of(volumes.put(1)) in ("VOLUME_FAILED", "VOLUME_READ_ONLY")


async def test_without_room_anywhere_the_answer_is_no_room() -> None:
    _, a, b, volumes = two(bytes_total=5000)
    assert await reason_of(volumes.put(5001)) == "NO_ROOM"
    for one in (a, b):
        one.set_state(VolumeState.FAILED)
    assert await reason_of(volumes.put(1)) == "VOLUME_FAILED"


async def test_a_chunk_is_not_stored_on_two_volumes_of_one_node() -> None:
    _, _, _, volumes = two()
    chunk = chunk_of(1)
    first = await put(volumes, chunk)
    again = await put(volumes, chunk, Pin("job-2"))
    assert again.already
    assert again.held == first.held
    assert volumes.health().chunks == 1
    assert volumes.health().bytes_free == 2 * (1 << 20) - len(chunk.file)


async def test_a_damaged_copy_gives_way_to_the_other_volume() -> None:
    _, a, b, volumes = two()
    told = []
    volumes.on_damage(lambda held, why: told.append((held.volume, why)))
    chunk = chunk_of(1)
    for store in (a, b):
        await put(store, chunk, None)
    a.spoil(chunk.id)
    assert await bytes_of(volumes, chunk) == chunk.file
    assert [volume for volume, _ in told] == ["a"]
    [evidence] = await volumes.evidence()
    await volumes.discard(evidence.name)
    assert await volumes.evidence() == []
    assert await reason_of(volumes.discard(evidence.name)) == "NOT_FOUND"


async def test_every_copy_is_trashed_revived_and_purged_and_a_pin_keeps_all() -> None:
    _, a, b, volumes = two()
    chunk = chunk_of(1)
    for store in (a, b):
        await put(store, chunk, None)
    await volumes.have([chunk.id], Pin("job"))
    assert not await volumes.trash(chunk.id, "no root")
    assert len(await volumes.find([chunk.id])) == 2
    assert await volumes.unpin("job") == 1
    assert await volumes.trash(chunk.id, "no root")
    assert len(await volumes.trashed()) == 2
    assert (await volumes.revive(chunk.id)).chunk_id == chunk.id
    assert await volumes.trash(chunk.id, "no root")
    assert await volumes.purge(chunk.id) == 2 * len(chunk.file)
    assert await reason_of(volumes.read(chunk.id)) == "NOT_FOUND"
    assert await reason_of(volumes.trash(chunk.id, "no root")) == "NOT_FOUND"


async def test_the_living_of_all_volumes_are_listed_in_order() -> None:
    clock, _, _, volumes = two()
    for number in range(9):
        clock.now_s += 1
        await put(volumes, chunk_of(number, 1), None)
    ids = await ids_of(volumes.list())
    assert len(ids) == 9
    assert ids == sorted(ids)
    assert await ids_of(volumes.list(ids[4])) == ids[5:]
    stalest = await volumes.stalest(3)
    assert [held.stored_unix_s for held in stalest] == [clock() - 8, clock() - 7, clock() - 6]
