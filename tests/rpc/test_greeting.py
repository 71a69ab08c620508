"""Nodes find each other by an address, greet, and tell each other what everybody must know."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from multicloud.v1 import admin_pb2, common_pb2, peer_pb2
from nodeagent.rpc.access import ADMIN
from tests.support.nodes import Running, admin, channel, make_place, peer, refused, running, until
from tests.support.people import People

ALIVE, LEFT = common_pb2.NODE_STATE_ALIVE, common_pb2.NODE_STATE_LEFT
DOWN = common_pb2.NODE_STATE_DOWN


@pytest.fixture
async def pair(people: People, tmp_path: Path) -> AsyncIterator[tuple[Running, Running]]:
    """The second knows an address of the first, and nothing else."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running(make_place(people, tmp_path, 1)))
        join = {"join": {"peers": [first.address], "greet_every_s": 0.2, "greet_timeout_s": 0.5}}
        second = await stack.enter_async_context(running(make_place(people, tmp_path, 2, join)))
        yield first, second


def seen(by: Running, other: Running) -> int:
    found = by.node.roster.find(other.place.name)
    return by.node.roster.state(found) if found else 0


async def test_one_address_is_enough_for_both_to_know_each_other(
    pair: tuple[Running, Running], people: People
) -> None:
    first, second = pair
    await until(lambda: seen(first, second) == ALIVE and seen(second, first) == ALIVE)
    async with channel(first, people.operator("ada", ADMIN)) as opened:
        answer = await admin(opened).ListNodes(admin_pb2.ListNodesRequest(), timeout=5)
    assert [node.facts.name for node in answer.nodes] == ["node-1", "node-2"]
    assert all(node.state == ALIVE for node in answer.nodes)


async def test_finding_out_who_is_at_an_address_is_no_refused_caller(
    pair: tuple[Running, Running], capfd: pytest.CaptureFixture[str]
) -> None:
    first, second = pair
    await until(lambda: seen(second, first) == ALIVE)
    assert "Handshake failed" not in capfd.readouterr().err


async def test_a_round_trip_is_measured_and_the_clocks_are_compared(
    pair: tuple[Running, Running],
) -> None:
    first, second = pair
    found = await until(
        lambda: (p := second.node.roster.find(first.place.name)) and p.rtt_ms > 0 and p
    )
    assert found.rtt_ms < 1000
    assert abs(found.clock_offset_ms) < 1000


async def test_a_node_that_stops_says_goodbye_and_one_that_vanishes_is_down(
    people: People, tmp_path: Path
) -> None:
    async with running(make_place(people, tmp_path, 1)) as first:
        join = {"join": {"peers": [first.address], "greet_every_s": 0.1, "greet_timeout_s": 0.2}}
        place = make_place(people, tmp_path, 2, join)
        async with running(place) as second:
            await until(lambda: seen(first, second) == ALIVE)
            await second.node.say_goodbye()
            await until(lambda: seen(first, second) == LEFT)
        async with running(place) as again:  # A new generation is no longer the one that left.
            await until(lambda: seen(first, again) == ALIVE)
        await until(lambda: seen(first, again) == DOWN)
        async with channel(first, people.operator("ada", ADMIN)) as opened:
            status = await admin(opened).GetStatus(admin_pb2.GetStatusRequest(), timeout=5)
        assert [p.code for p in status.problems] == ["NODE_DOWN"]
        assert "node-2" in status.problems[0].what


async def test_a_node_may_speak_of_itself_only(node: Running, people: People) -> None:
    facts = common_pb2.NodeFacts(id="00000000000000bb", name="victim", generation=99)
    greeting = peer_pb2.Greeting(facts=facts)
    async with channel(node, people.node("00000000000000aa")) as opened:
        call = peer(opened).Greet(peer_pb2.GreetRequest(greeting=greeting), timeout=5)
        assert (await refused(call)).reason == "NOT_ALLOWED"
    assert node.node.roster.find("victim") is None


@pytest.mark.parametrize(
    ("first", "second", "counts"),
    [
        ((5, 2), (5, 1), "first"),
        ((5, 1), (5, 2), "second"),
        ((5, 2), (4, 1), "second"),  # The node itself says it: its disk may be a new one.
    ],
)
async def test_what_a_node_says_of_itself_counts_unless_it_is_older(
    node: Running, people: People, first: tuple[int, int], second: tuple[int, int], counts: str
) -> None:
    async with channel(node, people.node("00000000000000ac")) as opened:
        for name, (generation, revision) in (("first", first), ("second", second)):
            facts = common_pb2.NodeFacts(
                id="00000000000000ac", name=name, generation=generation, revision=revision
            )
            greeting = peer_pb2.Greeting(facts=facts)
            await peer(opened).Greet(peer_pb2.GreetRequest(greeting=greeting), timeout=5)
    assert node.node.roster.peers["00000000000000ac"].name == counts


async def test_what_a_node_learned_from_an_admin_every_node_knows(
    pair: tuple[Running, Running], people: People
) -> None:
    first, second = pair
    await until(lambda: seen(first, second) == ALIVE)
    lost = people.authority.revoke("spiffe://test/operator/lost", "", "laptop stolen", time.time())
    async with channel(first, people.operator("ada", ADMIN)) as opened:
        request = admin_pb2.AddRevocationsRequest(revocations=[lost])
        await admin(opened).AddRevocations(request, timeout=5)
    await until(lambda: len(second.node.keeper.revocations()) == 1, within_s=5)
    await until((second.place.state / "identity" / "revocations.json").exists)


async def test_a_forged_revocation_is_refused_and_not_spread(
    node: Running, people: People, tmp_path: Path
) -> None:
    other = People(tmp_path / "other")
    forged = other.authority.revoke("spiffe://test/operator/ada", "", "because", time.time())
    async with channel(node, people.operator("ada", ADMIN)) as opened:
        request = admin_pb2.AddRevocationsRequest(revocations=[forged])
        assert (
            await refused(admin(opened).AddRevocations(request, timeout=5))
        ).reason == "UNTRUSTED"
    assert not node.node.keeper.revocations()


async def test_a_new_ca_spreads_by_greeting_and_everybody_stays_connected(tmp_path: Path) -> None:
    people = People(tmp_path / "authority")
    ada = people.operator("ada", ADMIN)
    async with running(make_place(people, tmp_path, 1)) as first:
        join = {"join": {"peers": [first.address], "greet_every_s": 0.1, "greet_timeout_s": 0.5}}
        async with running(make_place(people, tmp_path, 2, join)) as second:
            await until(lambda: seen(first, second) == ALIVE)
            trust = people.authority.rotate()
            async with channel(first, ada) as opened:
                request = admin_pb2.InstallTrustRequest(trust=trust)
                await admin(opened).InstallTrust(request, timeout=5)
            await until(lambda: second.node.keeper.trust.version == trust.version, within_s=5)
            of_the_new_ca = people.operator("ada", ADMIN)
            for one in (first, second):
                async with channel(one, of_the_new_ca) as opened:
                    await admin(opened).ListNodes(admin_pb2.ListNodesRequest(), timeout=5)
                async with channel(one, ada) as opened:
                    await admin(opened).ListNodes(admin_pb2.ListNodesRequest(), timeout=5)


async def test_heads_of_audit_logs_are_left_with_peers(
    pair: tuple[Running, Running], people: People
) -> None:
    first, second = pair
    async with channel(first, people.operator("ada", ADMIN)) as opened:
        await admin(opened).ReloadConfig(admin_pb2.ReloadConfigRequest(), timeout=5)
    kept = second.place.state / "audit" / "heads" / f"{first.place.id}.heads"
    await until(kept.exists)
