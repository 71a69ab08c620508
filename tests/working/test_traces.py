"""Traces over all nodes: who is asked asks the others, and what failed or was slow is kept."""

from random import Random
from typing import Any

import grpc
import pytest

from multicloud.errors import McError
from multicloud.v1 import insight_pb2, insight_pb2_grpc
from nodeagent.config import model
from nodeagent.core.slow import ENOUGH, Slow
from nodeagent.jobs.traces.keeping import TraceKeeping
from nodeagent.jobs.traces.links import LinkInsight
from nodeagent.jobs.traces.service import TRACES_MAX
from nodeagent.telemetry import Telemetry
from nodeagent.telemetry.ring import KEPT_SPANS_MAX, RING_SPANS_MAX
from tests.support.nodes import Running, channel, refused, until
from tests.support.people import People
from tests.working.workbench import bench, fill

GetTrace = insight_pb2.GetTraceRequest


def telemetry(node: Running) -> Telemetry:
    return node.node.telemetry


def insight(opened: grpc.aio.Channel) -> Any:
    return insight_pb2_grpc.InsightServiceStub(opened)


async def test_any_node_tells_a_chunks_whole_way(people: People, trio: list[Running]) -> None:
    async with bench(trio, {"a": b"data" * 999}, watcher=telemetry(trio[0]), replicas=3) as work:
        work.steward.give(*work.tasks())
        (result,) = await work.done(1)
        await until(work.ledger.safe)
        async with channel(trio[2], people.operator("ann", "operator")) as opened:
            found = await insight(opened).GetTrace(GetTrace(trace_id=result.trace_id))
    assert not found.unreachable_nodes
    by_id = {span.span_id: span for span in found.spans}
    stored = [span for span in found.spans if span.name == "chunk.store"]
    assert {span.node for span in stored} == {node.place.name for node in trio}
    for span in stored:
        assert span.attributes["chunk"] == result.chunks[0].id.hex()
        while span.parent_id:
            span = by_id[span.parent_id]
        assert span.name == "chunk"
    (relayed, *_) = [span for span in stored if span.node != trio[0].place.name]
    assert by_id[relayed.parent_id].name in ("chunk.relay", "chunk.receive")


async def test_what_is_no_question_is_refused(people: People, trio: list[Running]) -> None:
    asked = [
        GetTrace(),
        GetTrace(trace_id="x"),
        GetTrace(trace_ids=["a" * 32] * (TRACES_MAX + 1)),
        GetTrace(job="j", slowest=TRACES_MAX + 1),
        GetTrace(chunk_id=b"short"),
    ]
    async with channel(trio[0], people.operator("ann", "operator")) as opened:
        for request in asked:
            assert (await refused(insight(opened).GetTrace(request))).reason == "BAD_REQUEST"
        keep = insight(opened).KeepTraces(insight_pb2.KeepTracesRequest(trace_ids=["a" * 32]))
        assert (await refused(keep)).reason == "NOT_ALLOWED"


async def test_an_attempt_that_failed_is_kept_on_all_its_nodes_and_found(
    people: People, trio: list[Running]
) -> None:
    keeping = trio[0].node.jobs._traces
    more = {"watcher": telemetry(trio[0]), "traces": keeping, "replicas": 3}
    for node in trio[1:]:
        fill(node, True)
    try:
        async with bench(trio, {"a": b"data" * 999}, **more) as work:  # type: ignore[arg-type]
            work.steward.give(*work.tasks())
            await until(lambda: work.steward.refused, 20)
    finally:
        for node in trio[1:]:
            fill(node, False)
    trace_id = work.steward.refused[0].trace_id
    await keeping.tell_all()
    for node in trio:
        for _ in range(RING_SPANS_MAX + KEPT_SPANS_MAX):
            with telemetry(node).span("noise"):
                pass
    async with channel(trio[1], people.operator("ann", "operator")) as opened:
        found = await insight(opened).GetTrace(GetTrace(trace_id=trace_id))
        failed = telemetry(trio[0]).find("chunk", job=work.header.id)
    assert {span.node for span in found.spans} == {node.place.name for node in trio}
    assert trace_id in [span.trace_id for span in failed if span.error]


def test_slow_is_what_takes_three_times_as_long_as_usual() -> None:
    slow = Slow()
    assert not any(slow.is_slow(seconds) for seconds in [9.0, *[1.0] * ENOUGH])
    assert not slow.is_slow(2.9)
    assert slow.is_slow(3.0)


async def test_who_cannot_be_told_is_counted_and_holds_up_nobody() -> None:
    kept, told = [], []

    async def tell(node: str, ids: object) -> None:
        if node == "away":
            raise McError("UNREACHABLE", "away")
        told.append((node, ids))

    keeping = TraceKeeping("own", kept.append, tell)
    keeping.failed("a" * 32, ["own", "away", "near"])
    keeping.failed("b" * 32, ["near"])
    await keeping.tell_all()
    assert kept == ["a" * 32, "b" * 32]
    assert told == [("near", ["a" * 32, "b" * 32])]
    assert keeping.missed == 1


@pytest.mark.parametrize("one_in", [1, 1_000_000])
async def test_a_job_says_itself_how_many_of_its_chunks_are_traced(one_in: int) -> None:
    node = model.Node(id="a" * 16, name="a", cluster="c", cloud="x", region="y")
    own = Telemetry(model.Telemetry(trace_one_in=1000), node, "1", Random(1))
    with own.span("chunk", parent="", one_in=one_in) as span:
        pass
    assert int(span.traceparent[-2:], 16) % 2 == (one_in == 1)
    await own.stop()


async def test_a_node_tells_whom_it_leaves_alone_and_which_retries_are_left(
    people: People, trio: list[Running]
) -> None:
    first, second, third = trio
    worker = first.node.jobs.insight[1]
    assert isinstance(worker, LinkInsight)
    for _ in range(3):
        worker.breakers.failed(second.place.id, "STALLED", worker.clock_s(), Random(1))
    async with bench(trio, {"a": b"data" * 999}, replicas=2) as work:
        work.steward.give(*work.tasks())
        await work.done(1)
    async with channel(third, people.operator("ann", "operator")) as opened:
        asked = insight_pb2.GetLinksRequest(node=first.place.name)
        found = await insight(opened).GetLinks(asked)
    links = {link.peer: link for link in found.links}
    assert links[second.place.id].breaker == "open"
    assert links[second.place.id].why == "STALLED"
    assert links[second.place.id].again_s > 0
    assert b'mc_breakers{mc_state="open"} 1.0' in telemetry(first).metrics_text()
    worker.breakers.succeeded(second.place.id)
