"""QueryHistory over real gRPC: any node answers for any, and for all."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from multicloud.v1 import insight_pb2, insight_pb2_grpc
from nodeagent.rpc.access import AUDITOR, METRICS
from tests.support.nodes import Running, channel, make_place, refused, running, until
from tests.support.people import People


@pytest.fixture(scope="module")
async def pair(
    people: People, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Running, Running]]:
    folder: Path = tmp_path_factory.mktemp("pair")
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running(make_place(people, folder, 1)))
        join = {"join": {"peers": [first.address], "greet_every_s": 0.2, "greet_timeout_s": 0.5}}
        second = await stack.enter_async_context(running(make_place(people, folder, 2, join)))
        await until(
            lambda: (p := first.node.roster.find("node-2")) and first.node.greeter.reached(p)
        )
        await until(lambda: first.node.history.there())
        for one in (first, second):
            recorder = one.node.history.recorder
            await until(lambda here=recorder: here.read(["mc.repair.debt"], 1, 1 << 33, 1))  # type: ignore[misc]
        yield first, second


async def test_any_node_answers_for_all_and_for_the_one_that_is_named(
    pair: tuple[Running, Running], people: People
) -> None:
    first, second = pair
    ids = {one.place.id for one in pair}
    async with channel(first, people.operator("otto", AUDITOR)) as opened:
        stub = insight_pb2_grpc.InsightServiceStub(opened)
        request = insight_pb2.QueryHistoryRequest(metrics=["mc.repair.debt", "mc.chunks.copies"])
        everyone = await stub.QueryHistory(request, timeout=5)
        request.node = second.place.name
        one = await stub.QueryHistory(request, timeout=5)
    assert {series.node for series in everyone.series} == ids
    assert {series.metric for series in everyone.series} == set(request.metrics)
    assert {mark.node for mark in everyone.marks if mark.name == "daemon.started"} == ids
    assert {series.node for series in one.series} == {second.place.id}
    assert not everyone.unreachable_nodes


async def test_who_only_reads_metrics_and_who_asks_for_too_much_is_refused(
    pair: tuple[Running, Running], people: People
) -> None:
    async with channel(pair[0], people.operator("mia", METRICS)) as opened:
        stub = insight_pb2_grpc.InsightServiceStub(opened)
        error = await refused(stub.QueryHistory(insight_pb2.QueryHistoryRequest(), timeout=5))
        assert error.reason == "NOT_ALLOWED"
    async with channel(pair[0], people.operator("otto", AUDITOR)) as opened:
        stub = insight_pb2_grpc.InsightServiceStub(opened)
        much = insight_pb2.QueryHistoryRequest(points_max=1_000_000)
        error = await refused(stub.QueryHistory(much, timeout=5))
    assert error.reason == "BAD_REQUEST"
