"""The council of real nodes: it grows with them, outlives some, refuses in plain words."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from coordinator.council.ballots import Change
from coordinator.council.registers import (
    NEXT_KEY,
    Ballot,
    Epoch,
    Install,
    Seal,
    Sealed,
    Seat,
    members_value,
)
from multicloud.errors import McError
from multicloud.v1 import admin_pb2, council_pb2, council_pb2_grpc
from nodeagent.council.contract import Council, Register
from nodeagent.council.memory import FILE
from nodeagent.council.part import FOLDER
from nodeagent.council.words import to_ballot, to_epoch, to_seat
from nodeagent.rpc.access import ADMIN
from tests.council.conformance import CouncilConformance, wish
from tests.council.town import WITHIN_S, Town, town
from tests.support.nodes import admin, channel, refused
from tests.support.people import People


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
async def three(people: People, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    async with town(people, tmp_path_factory.mktemp("three"), (1, 2, 3)) as made:
        await made.until(lambda: made.agreed(3))
        yield made


class TestBallots(CouncilConformance):
    @pytest.fixture
    def council(self, three: Town) -> Council:
        return three.council(2)


async def say(council: Council, key: str, value: bytes) -> None:
    """Once a majority is reached: a connection that was refused is tried again after seconds."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                seen = await council.get(key)
                told = await council.compare_and_set(key, seen.version, value, wish())
            except McError as error:
                if error.reason != "NO_MAJORITY":
                    raise
            else:
                assert told.changed
                return


async def test_it_grows_from_one_to_three_to_five_as_nodes_join(
    people: People, tmp_path: Path
) -> None:
    async with town(people, tmp_path, (1,)) as made:
        await say(made.council(1), "name/a", b"of one")
        assert made.members(1) == [1]
        await made.start(2)
        await made.start(3)
        await made.until(lambda: made.agreed(3))
        assert (await made.council(3).get("name/a")).value == b"of one"
        await say(made.council(2), "name/a", b"of three")
        await made.start(4, 5)
        await made.until(lambda: made.agreed(5))
        assert (await made.council(5).get("name/a")).value == b"of three"
        tales = made.up[4].node.body.events.since(0)
        (last,) = [e.facts["why"] for e in tales if e.name == "council.changed"][-1:]
        assert last.endswith(": node-1, node-2, node-3, node-4, node-5")
        want = [Register("name/a", 2, b"of three")]
        await made.until(lambda: all(made.council(n).list() == want for n in made.up))


async def test_a_minority_says_what_it_cannot_do_and_still_lists_and_a_majority_goes_on(
    people: People, tmp_path: Path
) -> None:
    more = {"council.decide_s": "1.0", "council.call_s": "0.5"}
    async with town(people, tmp_path, (1, 2, 3, 4, 5), **more) as made:
        await made.until(lambda: made.agreed(5))
        await say(made.council(5), "name/a", b"by five")
        await made.stop(1, 4)
        await say(made.council(5), "name/a", b"by three")
        await made.until(lambda: made.council(2).list()[:1] == [Register("name/a", 2, b"by three")])
        await made.stop(2)
        for call in (
            made.council(5).get("name/a"),
            made.council(5).compare_and_set("name/a", 2, b"by two", wish()),
        ):
            with pytest.raises(McError) as caught:
                await call
            error = caught.value
            assert error.reason == "NO_MAJORITY"
            assert "3 of the council's 5 members are needed" in error.message
            assert error.facts["missing"] == "node-1, node-2, node-4"
            assert "start node-1, node-2, node-4" in error.next
        assert made.council(5).list("name/") == [Register("name/a", 2, b"by three")]
        async with channel(made.up[5], people.operator("ada", ADMIN)) as opened:
            stub = admin(opened)

            async def status() -> admin_pb2.GetStatusResponse:
                answer = await stub.GetStatus(admin_pb2.GetStatusRequest(), timeout=5)
                assert isinstance(answer, admin_pb2.GetStatusResponse)
                return answer

            async with asyncio.timeout(20):
                while (seen := await status()).council.majority:
                    await asyncio.sleep(0.05)
            assert len(seen.council.members) == 5
            assert [s.node for s in seen.council.members if s.there] == ["node-3", "node-5"]
            (lost,) = [p for p in seen.problems if p.code == "COUNCIL_LOST"]
            assert "start nodeagentd on node-1, node-2, node-4" in lost.next
            checked = await stub.CheckNode(admin_pb2.CheckNodeRequest(), timeout=5)
            assert "COUNCIL_LOST" in [f.code for f in checked.findings]
        await made.start(2)
        await say(made.council(5), "name/a", b"by three again")
        assert (await made.council(2).get("name/a")).value == b"by three again"


async def test_all_start_again_and_know_everything(people: People, tmp_path: Path) -> None:
    async with town(people, tmp_path, (1, 2, 3)) as made:
        await made.until(lambda: made.agreed(3))
        await say(made.council(1), "name/a", b"kept")
        await made.until(lambda: all(made.council(n).list() for n in made.up))
        seats = made.seats(1)
        await made.stop(1, 2, 3)
        await made.start(3)
        assert made.council(3).list() == [Register("name/a", 1, b"kept")]
        assert made.seats(3) == seats
        await made.start(1, 2)
        assert (await made.council(3).get("name/a")).value == b"kept"
        await say(made.council(2), "name/a", b"and more")


async def test_a_wiped_member_is_another_one_and_is_seated_again(
    people: People, tmp_path: Path
) -> None:
    async with town(people, tmp_path, (1, 2, 3)) as made:
        await made.until(lambda: made.agreed(3))
        await say(made.council(1), "name/a", b"kept")
        old = made.seats(1)
        await made.stop(1)  # The founder: it must not found another council.
        made.wipe(1)
        await made.start(1)
        await made.until(lambda: made.agreed(3) and made.seats(2) != old)
        assert made.members(2) == [1, 2, 3]
        assert len(set(made.seats(2)) & set(old)) == 2
        assert (await made.council(1).get("name/a")).value == b"kept"


async def test_a_member_that_stays_away_loses_its_seat_to_a_node_that_is_there(
    people: People, tmp_path: Path
) -> None:
    more = {"council.replace_after_s": "1.0"}
    async with town(people, tmp_path, (1, 2, 3, 4), **more) as made:
        await made.until(lambda: made.agreed(3))
        await say(made.council(4), "name/a", b"kept")
        gone = made.members(1)[0]
        await made.stop(gone)
        rest = sorted({1, 2, 3, 4} - {gone})
        await made.until(lambda: made.members(rest[0]) == rest and made.agreed(3))
        assert (await made.council(rest[0]).get("name/a")).value == b"kept"


async def test_a_node_that_is_removed_hands_its_seat_over_first(
    people: People, tmp_path: Path
) -> None:
    async with town(people, tmp_path, (1, 2)) as made:
        await made.until(lambda: made.agreed(1))
        ids = {place.id for place in made.places.values()}
        await made.until(lambda: made.part(1).world.view().members.keys() >= ids)
        await made.until(lambda: made.part(2).world.council_volume_of(made.places[1].id))
        async with channel(made.up[2], people.operator("ada", ADMIN)) as opened:
            request = admin_pb2.RemoveNodeRequest(node="node-1", request_id="r1")
            await admin(opened).RemoveNode(request, timeout=10)
            await admin(opened).RemoveNode(request, timeout=10)  # Once more changes nothing.
        assert made.members(2) == [2]
        (record,) = made.council(2).list("node/")
        assert (record.key, record.version) == (f"node/{made.places[1].id}", 1)


async def test_no_node_is_removed_where_no_majority_is(people: People, tmp_path: Path) -> None:
    more = {"council.decide_s": "0.5", "council.call_s": "0.3"}
    async with town(people, tmp_path, (1, 2, 3), **more) as made:
        await made.until(lambda: made.agreed(3))
        await made.stop(2, 3)
        async with channel(made.up[1], people.operator("ada", ADMIN)) as opened:
            request = admin_pb2.RemoveNodeRequest(node="node-2")
            error = await refused(admin(opened).RemoveNode(request, timeout=10))
        assert error.reason == "NO_MAJORITY"
        assert "node-3" in error.next
        assert made.up[1].node.removals.known == {}


async def test_what_a_proposer_decided_and_told_nobody_comes_into_every_copy(three: Town) -> None:
    change = Change("name/untold", 0, b"decided", wish())
    await three.part(1).proposer.decide(change, 5)
    await three.until(
        lambda: all(
            three.council(n).list("name/untold") == [Register("name/untold", 1, b"decided")]
            for n in three.up
        )
    )


async def test_members_that_missed_the_beginning_of_an_epoch_are_brought_up(
    people: People, tmp_path: Path
) -> None:
    async with town(people, tmp_path, (1,)) as made:
        await say(made.council(1), "name/a", b"carried")
        await made.start(2)
        member, (first,) = made.part(1).member, made.seats(1)
        seats = [first, made.part(2).member.seat, Seat("f" * 16, "nowhere")]
        # A proposer that died right after the first of three had opened the next epoch.
        epoch = Epoch(2, tuple(s for s in seats if s))
        await member.answer(first, Install(epoch, dict(member.accepted())))
        await made.until(lambda: made.part(2).member.epoch == epoch)
        assert (await made.council(2).get("name/a")).value == b"carried"


async def test_members_answer_by_their_own_name_only_and_take_no_half_of_anything(
    three: Town, people: People
) -> None:
    seat = three.part(1).member.seat
    assert seat
    async with channel(three.up[1], people.node(three.places[2].id)) as opened:
        stub = council_pb2_grpc.CouncilServiceStub(opened)
        lost = Seat(seat.node, "a disk that was lost")
        ballot = to_ballot(Ballot(three.part(1).copy.epoch.number, 10**6, "p"))
        request = council_pb2.PrepareRequest(to=to_seat(lost), key="name/a", ballot=ballot)
        error = await refused(stub.Prepare(request, timeout=5))
        assert error.reason == "NOT_FOUND"

        async def half() -> AsyncIterator[council_pb2.InstallRequest]:
            epoch = to_epoch(Epoch(99, (seat,)))
            yield council_pb2.InstallRequest(to=to_seat(seat), epoch=epoch, registers=2)

        error = await refused(stub.Install(half(), timeout=5))
        assert error.reason == "BAD_REQUEST"
        assert three.part(1).member.epoch.number < 99


async def test_whoever_decides_next_finishes_a_change_of_members_that_was_left_half_done(
    three: Town,
) -> None:
    """A proposer decided on members, sealed the epoch, and was heard no more."""
    part, epoch = three.part(1), three.part(1).copy.epoch
    await say(three.council(1), "name/half", b"before")
    change = Change(NEXT_KEY, 0, members_value(epoch.members), wish())
    await part.proposer.decide(change, 5)
    for seat in epoch.members:
        assert isinstance(await part.ask(seat, Seal(epoch.number), 5), Sealed)
    assert (await three.council(3).get("name/half")).value == b"before"
    assert three.part(3).copy.epoch.number == epoch.number + 1
    await three.until(lambda: three.agreed(3))


async def test_a_founder_that_lost_everything_founds_no_second_council(
    people: People, tmp_path: Path
) -> None:
    more = {"council.found_after_s": "8.0"}  # The others greet it before that.
    async with town(people, tmp_path, (1, 2, 3), **more) as made:
        await made.until(lambda: made.agreed(3))
        await say(made.council(1), "name/a", b"kept")
        old = made.seats(2)
        await made.stop(1)
        made.wipe(1, "")
        await made.start(1)
        await made.until(lambda: made.agreed(3) and made.seats(2) != old)
        assert made.members(1) == [1, 2, 3]
        tales = made.up[1].node.body.events.since(0)
        assert not any("epoch 1:" in event.facts.get("why", "") for event in tales)
        assert (await made.council(1).get("name/a")).value == b"kept"


async def test_a_member_with_a_damaged_memory_says_so_and_the_others_decide(
    people: People, tmp_path: Path
) -> None:
    async with town(people, tmp_path, (1, 2, 3)) as made:
        await made.until(lambda: made.agreed(3))
        await made.stop(1)
        memory = made.places[1].state / FOLDER / FILE
        memory.write_bytes(bytes(len(memory.read_bytes())))
        await made.start(1)
        await say(made.council(1), "name/a", b"by the others")
        async with channel(made.up[1], people.operator("ada", ADMIN)) as opened:
            checked = await admin(opened).CheckNode(admin_pb2.CheckNodeRequest(), timeout=5)
        (found,) = [f for f in checked.findings if f.code == "COUNCIL_DAMAGED"]
        assert str(memory) in found.what
        assert "move that file away" in found.next
        await made.stop(1)
        memory.unlink()
        old = made.seats(2)
        await made.start(1)
        await made.until(lambda: made.agreed(3) and made.seats(2) != old)
