"""What a collector gets of a chunk: the same at the test's own receiver and at a real Jaeger."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.meeting import meeting
from tests.support.nodes import Running, until
from tests.support.otlp import Receiver, receiving
from tests.support.people import People
from tests.support.servers.jaeger import Jaeger, jaeger
from tests.working.workbench import bench, moody

JOB_TRACE = "ab" * 16


@dataclass(frozen=True)
class Got:
    """A span, as whoever collects it tells of it."""

    name: str
    span_id: str
    parent_id: str
    host: str
    links: tuple[str, ...]


def from_receiver(receiver: Receiver, trace_id: str) -> list[Got]:
    return [
        Got(
            span.name,
            span.span_id.hex(),
            span.parent_span_id.hex(),
            resource["host.name"],
            tuple(link.trace_id.hex() for link in span.links),
        )
        for resource, span in list(receiver.spans)
        if span.trace_id.hex() == trace_id
    ]


def from_jaeger(server: Jaeger, trace_id: str) -> list[Got]:
    found = []
    for span in server.trace(trace_id):
        tags = {tag["key"]: tag["value"] for tag in span["process"]["tags"]}
        above = [r["spanID"] for r in span["references"] if r["refType"] == "CHILD_OF"]
        links = [r["traceID"] for r in span["references"] if r["refType"] != "CHILD_OF"]
        parent = above[0] if above else ""
        found.append(
            Got(span["operationName"], span["spanID"], parent, tags["host.name"], tuple(links))
        )
    return found


@pytest.fixture(params=["receiver", "jaeger"])
async def collected(
    request: pytest.FixtureRequest, people: People, tmp_path: Path
) -> AsyncIterator[tuple[list[Running], Callable[[str], list[Got]]]]:
    async with AsyncExitStack() as stack:
        ask: Callable[[str], list[Got]]
        if request.param == "jaeger":
            server = stack.enter_context(jaeger(tmp_path))
            endpoint, ask = server.endpoint, lambda trace_id: from_jaeger(server, trace_id)
        else:
            receiver = await stack.enter_async_context(receiving())
            endpoint, ask = receiver.endpoint, lambda trace_id: from_receiver(receiver, trace_id)
        sections = {"telemetry": {"otlp_endpoint": endpoint}}
        nodes = await meeting(stack, people, tmp_path, 3, store=moody, sections=sections)

        def all_known() -> bool:
            members = nodes[0].node.view().members.values()
            return sum(m.facts is not None and m.facts.bytes_total > 0 for m in members) == 3

        await until(all_known, 20)
        yield nodes, ask


async def test_a_chunks_spans_nest_over_all_nodes_and_are_linked_to_its_job(
    collected: tuple[list[Running], Callable[[str], list[Got]]],
) -> None:
    nodes, ask = collected
    job = f"00-{JOB_TRACE}-{'cd' * 8}-01"
    watcher = nodes[0].node.telemetry
    more = {"replicas": 3, "watcher": watcher, "traceparent": job}
    async with bench(nodes, {"a": b"data" * 999}, **more) as work:  # type: ignore[arg-type]
        work.steward.give(*work.tasks())
        (result,) = await work.done(1)
        await until(work.ledger.safe)
    found: list[Got] = []
    async with asyncio.timeout(20):
        while [span.name for span in found].count("chunk.store") < 3:
            found = await asyncio.to_thread(ask, result.trace_id)
            await asyncio.sleep(0.05)
    while "chunk" not in [span.name for span in found]:
        found = await asyncio.to_thread(ask, result.trace_id)
    by_id = {span.span_id: span for span in found}
    roots = [span for span in found if not span.parent_id]
    assert [(root.name, root.links) for root in roots] == [("chunk", (JOB_TRACE,))]
    stored = [span for span in found if span.name == "chunk.store"]
    assert {span.host for span in stored} == {node.place.name for node in nodes}
    for span in stored:
        above = by_id[span.parent_id].name
        assert above in ("chunk.deliver", "chunk.relay", "chunk.receive")
        while span.parent_id:
            span = by_id[span.parent_id]
        assert span == roots[0]
    assert {"chunk.ingest", "chunk.seal", "chunk.send"} <= {span.name for span in found}
