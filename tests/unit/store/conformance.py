"""What every store of chunks must do, as one suite: a test class inherits it and gives a `world`.

Whatever is asked here is of the contract and of no implementation: buckets pass it too.
"""

import pytest
from blake3 import blake3

from multicloud.errors import McError
from nodeagent.store.contract import Pin
from tests.support.chunks import FRAME
from tests.unit.store.store_world import JOB, World, bytes_of, chunk_of, ids_of, put, reason_of

DAY_S = 24 * 3600.0


class Conformance:
    """Inherit it beside a fixture `world`."""

    async def test_what_was_put_is_read_bit_for_bit(self, world: World) -> None:
        for number, frames in enumerate((1, 2, 7)):
            chunk = chunk_of(number, frames)
            done = await put(world.store, chunk)
            assert not done.already
            assert done.held.chunk_id == chunk.id
            assert done.held.volume == world.store.volume
            assert done.held.file_bytes == len(chunk.file)
            assert done.held.verified_unix_s == done.held.stored_unix_s == world.clock()
            assert await bytes_of(world.store, chunk) == chunk.file

    async def test_a_range_of_frames_is_read_alone(self, world: World) -> None:
        chunk = chunk_of(1, 6)
        await put(world.store, chunk)
        reading = await world.store.read(chunk.id)
        assert [f async for f in reading.frames(2, 3)] == list(chunk.frames[2:5])
        assert [f async for f in reading.frames(5)] == [chunk.frames[5]]
        assert [f async for f in reading.frames(6)] == []
        assert [f async for f in reading.frames(0, 0)] == []
        await reading.close()

    async def test_bytes_that_change_after_write_returned_are_stored_as_they_were(
        self, world: World
    ) -> None:
        chunk = chunk_of(1)
        writing = await world.store.put(len(chunk.file))
        reused = bytearray(len(chunk.file))
        for start in range(0, len(chunk.file), 1000):
            piece = chunk.file[start : start + 1000]
            reused[: len(piece)] = piece
            await writing.write(memoryview(reused)[: len(piece)])
        reused[:] = bytes(len(reused))
        await writing.commit(chunk.envelope(), None)
        assert await bytes_of(world.store, chunk) == chunk.file

    async def test_nothing_is_there_before_the_commit_or_after_an_abort(self, world: World) -> None:
        chunk = chunk_of(1)
        writing = await world.store.put(len(chunk.file))
        await writing.write(chunk.file)
        assert await reason_of(world.store.read(chunk.id)) == "NOT_FOUND"
        assert await world.store.have([chunk.id], JOB) == []
        assert await world.store.find([chunk.id]) == []
        await writing.abort()
        await writing.abort()
        assert await reason_of(writing.commit(chunk.envelope(), None)) == "FAILED"
        assert await reason_of(world.store.read(chunk.id)) == "NOT_FOUND"
        assert await ids_of(world.store.list()) == []
        assert world.store.health().chunks == 0

    async def test_a_put_that_ended_takes_nothing_more(self, world: World) -> None:
        chunk = chunk_of(1)
        writing = await world.store.put(len(chunk.file))
        await writing.write(chunk.file)
        await writing.commit(chunk.envelope(), None)
        await writing.abort()
        assert await reason_of(writing.write(b"more")) == "FAILED"
        assert await reason_of(writing.commit(chunk.envelope(), None)) == "FAILED"
        assert await bytes_of(world.store, chunk) == chunk.file

    async def test_more_bytes_than_announced_are_refused(self, world: World) -> None:
        chunk = chunk_of(1)
        writing = await world.store.put(len(chunk.file) - 1)
        await writing.write(chunk.file[:100])
        assert await reason_of(writing.write(chunk.file[100:])) == "TOO_LARGE"
        await writing.abort()
        assert await world.store.find([chunk.id]) == []

    async def test_fewer_bytes_than_the_chunk_has_are_no_chunk(self, world: World) -> None:
        chunk = chunk_of(1)
        writing = await world.store.put(len(chunk.file))
        await writing.write(chunk.file[:-1])
        assert await reason_of(writing.commit(chunk.envelope(), JOB)) == "DAMAGE"
        assert await world.store.find([chunk.id]) == []
        assert world.told == []

    async def test_a_smaller_chunk_than_announced_is_stored_whole(self, world: World) -> None:
        chunk = chunk_of(1)
        writing = await world.store.put(len(chunk.file) + 3 * FRAME)
        await writing.write(chunk.file)
        done = await writing.commit(chunk.envelope(), None)
        assert done.held.file_bytes == len(chunk.file)
        assert await bytes_of(world.store, chunk) == chunk.file

    async def test_the_same_chunk_again_is_already_here_and_pinned(self, world: World) -> None:
        chunk = chunk_of(1)
        first = await put(world.store, chunk, None)
        again = await put(world.store, chunk, JOB)
        assert again.already
        assert again.held == first.held
        assert [pin.holder for pin in await world.store.pins(chunk.id)] == [JOB.holder]
        assert world.store.health().chunks == 1

    async def test_a_chunk_that_was_not_checked_for_a_day_is_replaced(self, world: World) -> None:
        chunk = chunk_of(1)
        await put(world.store, chunk)
        world.spoil(chunk.id, 200)
        world.clock.now_s += DAY_S
        again = await put(world.store, chunk)
        assert not again.already
        assert again.held.verified_unix_s == world.clock()
        assert await bytes_of(world.store, chunk) == chunk.file
        assert world.store.health().chunks == 1

    async def test_a_chunk_in_the_trash_is_replaced_by_a_put(self, world: World) -> None:
        chunk = chunk_of(1)
        await put(world.store, chunk, None)
        assert await world.store.trash(chunk.id, "no root")
        again = await put(world.store, chunk)
        assert not again.already
        assert await world.store.trashed() == []
        assert await bytes_of(world.store, chunk) == chunk.file
        assert world.store.health().bytes_trash == 0

    async def test_damage_is_never_returned_and_goes_to_quarantine(self, world: World) -> None:
        chunk = chunk_of(1, 4)
        done = await put(world.store, chunk)
        world.spoil(chunk.id, chunk.envelope().entries[2].offset_bytes + 7)
        reading = await world.store.read(chunk.id)
        got = []
        with pytest.raises(McError) as caught:
            async for frame in reading.frames():
                got.append(frame)  # noqa: PERF401
        await reading.close()
        assert caught.value.reason == "DAMAGE"
        assert got == list(chunk.frames[:2])
        assert [held.chunk_id for held, _ in world.told] == [done.held.chunk_id]
        assert await reason_of(world.store.read(chunk.id)) == "NOT_FOUND"
        assert await world.store.have([chunk.id], JOB) == []
        [evidence] = await world.store.evidence()
        assert evidence.chunk_id == chunk.id
        assert evidence.file_bytes == len(chunk.file)
        assert evidence.found_unix_s == world.clock()
        assert evidence.why
        assert world.store.health().quarantined == 1

    @pytest.mark.parametrize("where", ["header", "leaf", "end"])
    async def test_a_damaged_envelope_is_found_before_any_frame(
        self, world: World, where: str
    ) -> None:
        chunk = chunk_of(1)
        await put(world.store, chunk)
        offsets = {"header": 3, "leaf": len(chunk.file) - 150, "end": len(chunk.file) - 1}
        world.spoil(chunk.id, offsets[where])
        assert await reason_of(world.store.read(chunk.id)) == "DAMAGE"
        assert len(world.told) == len(await world.store.evidence()) == 1

    async def test_a_put_heals_what_lies_in_quarantine_and_the_evidence_stays(
        self, world: World
    ) -> None:
        chunk = chunk_of(1)
        await put(world.store, chunk)
        world.spoil(chunk.id, 0)
        assert await reason_of(world.store.verify(chunk.id)) == "DAMAGE"
        again = await put(world.store, chunk)
        assert not again.already
        assert await bytes_of(world.store, chunk) == chunk.file
        [evidence] = await world.store.evidence()
        await world.store.discard(evidence.name)
        assert await world.store.evidence() == []
        assert world.store.health().quarantined == 0
        assert await reason_of(world.store.discard(evidence.name)) == "NOT_FOUND"
        assert await bytes_of(world.store, chunk) == chunk.file

    async def test_a_chunk_damaged_twice_leaves_two_pieces_of_evidence(self, world: World) -> None:
        chunk = chunk_of(1)
        for _ in range(2):
            await put(world.store, chunk)
            world.spoil(chunk.id, 0)
            assert await reason_of(world.store.verify(chunk.id)) == "DAMAGE"
        names = {one.name for one in await world.store.evidence()}
        assert len(names) == 2

    async def test_a_file_that_vanished_is_told_and_not_found(self, world: World) -> None:
        chunk = chunk_of(1)
        done = await put(world.store, chunk)
        world.lose(chunk.id)
        assert await reason_of(world.store.read(chunk.id)) == "NOT_FOUND"
        assert [held for held, _ in world.told] == [done.held]
        assert await world.store.evidence() == []
        assert world.store.health().chunks == 0

    async def test_who_has_it_finds_that_it_vanished(self, world: World) -> None:
        chunk = chunk_of(1)
        await put(world.store, chunk)
        world.lose(chunk.id)
        assert await world.store.have([chunk.id], JOB) == []
        assert len(world.told) == 1

    async def test_verify_reads_every_byte_and_proves_it_by_the_nonce(self, world: World) -> None:
        chunk = chunk_of(1)
        await put(world.store, chunk)
        world.clock.now_s += 3600
        proofs = set()
        for nonce in (b"one", b"two"):
            seen = await world.store.verify(chunk.id, nonce)
            assert seen.held.verified_unix_s == world.clock()
            assert seen.proof == blake3(chunk.file, key=blake3(nonce).digest()).digest()
            proofs.add(seen.proof)
        assert len(proofs) == 2
        assert (await world.store.verify(chunk.id)).proof == b""
        assert await reason_of(world.store.verify(bytes(32))) == "NOT_FOUND"

    async def test_have_pins_what_is_good_and_names_nothing_else(self, world: World) -> None:
        chunks = [chunk_of(n) for n in range(3)]
        for chunk in chunks[:2]:
            await put(world.store, chunk, None)
        asked = [chunks[1].id, chunks[2].id, chunks[0].id, chunks[1].id]
        found = await world.store.have(asked, Pin("job-2", world.clock() + 60))
        assert [held.chunk_id for held in found] == [chunks[1].id, chunks[0].id]
        for chunk in chunks[:2]:
            pins = await world.store.pins(chunk.id)
            assert pins == [Pin("job-2", world.clock() + 60)]
        assert await world.store.pins(chunks[2].id) == []

    async def test_have_revives_from_the_trash(self, world: World) -> None:
        chunk = chunk_of(1)
        await put(world.store, chunk, None)
        assert await world.store.trash(chunk.id, "no root")
        assert await world.store.find([chunk.id]) == []
        [held] = await world.store.have([chunk.id], JOB)
        assert held.chunk_id == chunk.id
        assert await world.store.trashed() == []
        assert not await world.store.trash(chunk.id, "no root")

    async def test_have_checks_what_was_not_checked_lately(self, world: World) -> None:
        good, bad = chunk_of(1), chunk_of(2)
        for chunk in (good, bad):
            await put(world.store, chunk)
        world.spoil(bad.id, 300)
        both = [good.id, bad.id]
        assert len(await world.store.have(both, JOB)) == 2  # Fresh: nobody reads it now.
        world.clock.now_s += DAY_S
        [held] = await world.store.have(both, JOB)
        assert held.chunk_id == good.id
        assert held.verified_unix_s == world.clock()
        assert [held.chunk_id for held, _ in world.told] == [bad.id]

    async def test_a_clock_that_went_back_makes_nothing_fresh(self, world: World) -> None:
        chunk = chunk_of(1)
        await put(world.store, chunk)
        world.spoil(chunk.id, 300)
        world.clock.now_s -= 10 * DAY_S
        assert await world.store.have([chunk.id], JOB) == []

    async def test_pins_keep_a_chunk_until_they_end(self, world: World) -> None:
        chunk = chunk_of(1)
        await put(world.store, chunk, Pin("job-1"))
        await world.store.have([chunk.id], Pin("promise", world.clock() + 100))
        assert not await world.store.trash(chunk.id, "no root")
        assert await world.store.unpin("job-1") == 1
        assert await world.store.unpin("job-1") == 0
        assert not await world.store.trash(chunk.id, "no root")
        world.clock.now_s += 101
        assert await world.store.pins(chunk.id) == []
        assert await world.store.trash(chunk.id, "no root")

    async def test_a_shorter_pin_of_the_same_holder_shortens_nothing(self, world: World) -> None:
        chunk = chunk_of(1)
        now = world.clock()
        await put(world.store, chunk, Pin("peer", now + 100))
        await world.store.have([chunk.id], Pin("peer", now + 10))
        assert await world.store.pins(chunk.id) == [Pin("peer", now + 100)]
        await world.store.have([chunk.id], Pin("peer"))
        await world.store.have([chunk.id], Pin("peer", now + 500))
        assert await world.store.pins(chunk.id) == [Pin("peer")]

    async def test_the_trash_keeps_a_chunk_until_it_is_purged(self, world: World) -> None:
        chunk = chunk_of(1)
        done = await put(world.store, chunk, None)
        assert await world.store.purge(chunk.id) == 0  # The living are never unlinked.
        assert await bytes_of(world.store, chunk) == chunk.file
        world.clock.now_s += 5
        assert await world.store.trash(chunk.id, "why: 1/2 é_+%")
        assert await world.store.trash(chunk.id, "again")  # It is there already.
        [trashed] = await world.store.trashed()
        assert trashed.held == done.held
        assert trashed.trashed_unix_s == world.clock()
        assert trashed.why == "why: 1/2 é_+%"
        assert world.store.health().bytes_trash == len(chunk.file)
        assert world.store.health().chunks == world.store.health().bytes_used == 0
        assert await world.store.purge(chunk.id) == len(chunk.file)
        assert await world.store.trashed() == []
        assert await reason_of(world.store.read(chunk.id)) == "NOT_FOUND"
        assert await reason_of(world.store.revive(chunk.id)) == "NOT_FOUND"
        assert await reason_of(world.store.trash(chunk.id, "x")) == "NOT_FOUND"
        assert world.store.health().bytes_trash == 0

    async def test_a_read_from_the_trash_revives(self, world: World) -> None:
        chunk = chunk_of(1)
        await put(world.store, chunk, None)
        await world.store.trash(chunk.id, "no root")
        assert await bytes_of(world.store, chunk) == chunk.file
        assert await world.store.trashed() == []
        assert await ids_of(world.store.list()) == [chunk.id]
        assert (await world.store.revive(chunk.id)).chunk_id == chunk.id  # Lives already.

    async def test_an_open_chunk_is_read_to_its_end_whatever_becomes_of_it(
        self, world: World
    ) -> None:
        chunk = chunk_of(1, 9)
        await put(world.store, chunk, None)
        reading = await world.store.read(chunk.id)
        frames = reading.frames()
        got = [await anext(frames)]
        await world.store.trash(chunk.id, "no root")
        await world.store.purge(chunk.id)
        got += [frame async for frame in frames]
        await reading.close()
        assert got == list(chunk.frames)
        assert world.told == []

    async def test_the_living_are_listed_in_order_from_anywhere(self, world: World) -> None:
        chunks = sorted((chunk_of(n, 1) for n in range(12)), key=lambda chunk: chunk.id)
        for chunk in chunks:
            world.clock.now_s += 1
            await put(world.store, chunk, None)
        await world.store.trash(chunks[5].id, "no root")
        living = [chunk.id for chunk in chunks if chunk is not chunks[5]]
        assert await ids_of(world.store.list()) == living
        assert await ids_of(world.store.list(chunks[7].id)) == [c.id for c in chunks[8:]]
        found = await world.store.find([chunk.id for chunk in reversed(chunks)])
        assert [held.chunk_id for held in found] == living[::-1]

    async def test_the_stalest_come_first(self, world: World) -> None:
        chunks = [chunk_of(n, 1) for n in range(5)]
        for chunk in chunks:
            world.clock.now_s += 10
            await put(world.store, chunk, None)
        await world.store.verify(chunks[0].id)
        found = [held.chunk_id for held in await world.store.stalest(3)]
        assert found == [chunk.id for chunk in chunks[1:4]]
        oldest = world.store.health().oldest_check_unix_s
        assert oldest == world.clock() - 30

    async def test_health_counts_what_is_here(self, world: World) -> None:
        empty = world.store.health()
        assert (empty.chunks, empty.bytes_used, empty.oldest_check_unix_s) == (0, 0, None)
        chunks = [chunk_of(n) for n in range(4)]
        for chunk in chunks:
            await put(world.store, chunk)
        full = world.store.health()
        assert full.state is empty.state
        assert full.chunks == 4
        assert full.bytes_used == sum(len(chunk.file) for chunk in chunks)
        assert full.bytes_free <= full.bytes_total

    async def test_more_than_there_is_room_for_is_refused(self, world: World) -> None:
        health = world.store.health()
        assert await reason_of(world.store.put(health.bytes_total + 1)) == "NO_ROOM"
        chunk = chunk_of(1)
        await put(world.store, chunk)
        assert await bytes_of(world.store, chunk) == chunk.file

    async def test_everything_is_there_after_it_was_opened_again(self, world: World) -> None:
        if world.reopen is None:
            pytest.skip("this store does not outlive its process")
        live, trashed, bad = (chunk_of(n) for n in range(3))
        for chunk in (live, trashed, bad):
            await put(world.store, chunk, None)
        held = await world.store.have([live.id], Pin("promise", world.clock() + 50))
        await world.store.have([live.id], Pin("over"))
        await world.store.unpin("over")
        await world.store.trash(trashed.id, "no root")
        world.spoil(bad.id, 0)
        assert await reason_of(world.store.read(bad.id)) == "DAMAGE"
        before = (await world.store.trashed(), await world.store.evidence())
        health = world.store.health()
        store = world.store = await world.reopen()
        assert await store.find([live.id, trashed.id, bad.id]) == held
        assert await store.pins(live.id) == [Pin("promise", world.clock() + 50)]
        assert (await store.trashed(), await store.evidence()) == before
        assert store.volume == held[0].volume
        assert await bytes_of(store, live) == live.file
        again = store.health()
        assert (again.chunks, again.bytes_used, again.bytes_trash, again.quarantined) == (
            (health.chunks, health.bytes_used, health.bytes_trash, health.quarantined)
        )
