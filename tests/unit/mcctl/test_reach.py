"""What nodes, status and check make of what a cluster tells."""

import asyncio

from mcctl.dev import ports
from mcctl.reach import rtt_ms, with_missing
from mcctl.status import problems
from multicloud.context import Endpoint
from multicloud.v1 import admin_pb2, common_pb2


def node(node_id: str, name: str, address: str) -> common_pb2.Node:
    facts = common_pb2.NodeFacts(
        id=node_id, name=name, endpoints=[common_pb2.Endpoint(network="x", api=address)]
    )
    return common_pb2.Node(facts=facts, state=common_pb2.NODE_STATE_ALIVE)


def test_a_node_that_only_the_context_knows_is_unreachable_and_a_problem() -> None:
    told = [node("01", "a", "10.0.0.1:1")]
    seen = with_missing(told, [Endpoint("01", "a", "1.1.1.1:1"), Endpoint("02", "b", "2.2.2.2:1")])
    assert [(s.fields["name"], s.fields["state"]) for s in seen] == [
        ("a", "alive"),
        ("b", "unreachable"),
    ]
    (problem,) = problems(admin_pb2.GetStatusResponse(nodes=told), seen, "a")
    assert problem["code"] == "NODE_UNREACHABLE"
    assert "b has not been heard by a" in problem["what"]


def test_a_node_that_was_removed_is_missed_by_nobody() -> None:
    told = [node("01", "a", "10.0.0.1:1")]
    endpoints = [Endpoint("01", "a", "1.1.1.1:1"), Endpoint("02", "b", "2.2.2.2:1")]
    seen = with_missing(told, endpoints, ["02"])
    assert [s.fields["name"] for s in seen] == ["a"]
    assert problems(admin_pb2.GetStatusResponse(nodes=told), seen, "a") == []


def test_our_own_address_of_a_node_goes_before_what_it_advertises() -> None:
    told = [node("01", "a", "10.0.0.1:1"), node("02", "b", "10.0.0.2:1")]
    seen = with_missing(told, [Endpoint("01", "a", "1.1.1.1:1")])
    assert [s.address for s in seen] == ["1.1.1.1:1", "10.0.0.2:1"]


async def test_the_round_trip_is_measured_and_is_none_where_nobody_listens() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), ports.HOST)
    port = server.sockets[0].getsockname()[1]
    measured = await rtt_ms(f"{ports.HOST}:{port}")
    assert measured is not None
    assert 0 < measured < 1000
    server.close()
    assert await rtt_ms(f"{ports.HOST}:{port}") is None
    assert await rtt_ms("") is None
