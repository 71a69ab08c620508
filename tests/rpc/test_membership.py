"""Drain and removal over real mTLS: what is answered, what survives a restart, who is refused."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from multicloud.v1 import admin_pb2, common_pb2, peer_pb2
from nodeagent.rpc.access import ADMIN, OPERATOR
from tests.support.nodes import Running, admin, channel, make_place, peer, refused, running
from tests.support.people import People

ALIVE, DRAINING, REMOVED = (
    common_pb2.NODE_STATE_ALIVE,
    common_pb2.NODE_STATE_DRAINING,
    common_pb2.NODE_STATE_REMOVED,
)
WITHIN_S = 20.0


@pytest.fixture
def people(tmp_path: Path) -> People:
    return People(tmp_path)


async def until(fact: Callable[[], Any]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not fact():
            await asyncio.sleep(0.02)


async def asked(people: People, node: Running, do: str, request: Any) -> Any:
    async with channel(node, people.operator("ada", ADMIN)) as opened:
        return await getattr(admin(opened), do)(request, timeout=5)


def states(by: Running) -> dict[str, int]:
    roster = by.node.roster
    return {peer.id: roster.state(peer) for peer in roster.peers.values()}


async def own_state(people: People, node: Running) -> int:
    answer = await asked(people, node, "GetNode", admin_pb2.GetNodeRequest())
    return int(answer.node.state)


async def greeting_refused(people: People, node: Running, caller: str) -> str:
    async with channel(node, people.node(caller)) as opened:
        request = peer_pb2.GreetRequest(
            greeting=peer_pb2.Greeting(facts=common_pb2.NodeFacts(id=caller, generation=99))
        )
        return (await refused(peer(opened).Greet(request, timeout=5))).reason


async def test_a_node_that_drains_still_does_after_a_restart(
    tmp_path: Path, people: People
) -> None:
    place = make_place(people, tmp_path, 1)
    async with running(place) as node:
        answer = await asked(people, node, "DrainNode", admin_pb2.DrainNodeRequest())
        assert answer.node.state == DRAINING
    async with running(place) as node:
        assert await own_state(people, node) == DRAINING
        assert node.node.body.facts().draining
        answer = await asked(people, node, "UndrainNode", admin_pb2.UndrainNodeRequest())
        assert answer.node.state == ALIVE
    async with running(place) as node:
        assert await own_state(people, node) == ALIVE


async def test_a_removed_node_is_refused_by_all_also_after_every_restart(
    tmp_path: Path, people: People
) -> None:
    first = make_place(people, tmp_path, 1)
    async with running(first) as stays:
        join = {"join": {"peers": [stays.address], "greet_every_s": 0.2, "greet_timeout_s": 1.0}}
        second = make_place(people, tmp_path, 2, join)
        async with running(second) as goes:
            await until(lambda: states(stays).get(second.id) == ALIVE)
            await until(lambda: states(goes).get(first.id) == ALIVE)
            request = admin_pb2.RemoveNodeRequest(node="node-2")
            answer = await asked(people, stays, "RemoveNode", request)
            assert (answer.node.facts.name, answer.node.state) == ("node-2", REMOVED)
            await until(lambda: states(stays)[second.id] == REMOVED)
            listed = await asked(people, stays, "ListNodes", admin_pb2.ListNodesRequest())
            assert [node.facts.name for node in listed.nodes] == ["node-1"]
            assert list(listed.removed) == [second.id]
            await until(lambda: goes.node.decisions.removed())  # It knows of itself, too.
            assert await own_state(people, goes) == REMOVED
            assert await greeting_refused(people, stays, second.id) == "REMOVED"
    async with running(first) as stays, running(second) as goes:
        assert await greeting_refused(people, stays, second.id) == "REMOVED"
        assert await own_state(people, goes) == REMOVED
        listed = await asked(people, stays, "ListNodes", admin_pb2.ListNodesRequest())
        assert list(listed.removed) == [second.id]
        status = await asked(people, stays, "GetStatus", admin_pb2.GetStatusRequest())
        assert list(status.removed) == [second.id]
        assert list(status.problems) == []


async def test_no_node_removes_itself_and_only_an_admin_removes(
    tmp_path: Path, people: People
) -> None:
    async with running(make_place(people, tmp_path, 1)) as node:
        for name in ("", "node-1"):
            request = admin_pb2.RemoveNodeRequest(node=name)
            async with channel(node, people.operator("ada", ADMIN)) as opened:
                error = await refused(admin(opened).RemoveNode(request, timeout=5))
            assert (error.reason, "cannot remove itself" in error.message) == ("FAILED", True)
        async with channel(node, people.operator("bob", OPERATOR)) as opened:
            error = await refused(admin(opened).RemoveNode(request, timeout=5))
        assert error.reason == "NOT_ALLOWED"


async def test_a_node_that_nobody_knows_cannot_be_drained(tmp_path: Path, people: People) -> None:
    async with (
        running(make_place(people, tmp_path, 1)) as node,
        channel(node, people.operator("bob", OPERATOR)) as opened,
    ):
        request = admin_pb2.DrainNodeRequest(node="nobody")
        error = await refused(admin(opened).DrainNode(request, timeout=5))
    assert error.reason == "NODE_UNKNOWN"
