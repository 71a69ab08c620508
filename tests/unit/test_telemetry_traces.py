"""Traces: they cross nodes, what failed is always kept, and no collector can hold anybody up."""

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from random import Random
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from multicloud.errors import McError
from nodeagent.config import model
from nodeagent.telemetry import Telemetry, extract, inject, traceparent
from nodeagent.telemetry.collector import Collector, Outbox
from nodeagent.telemetry.ring import RING_SPANS_MAX
from tests.support.otlp import receiving

SPAN_S_MAX = 1.0  # On a busy machine; one that waited for a collector would take seconds.


def node(name: str = "aws-a", digit: str = "a") -> model.Node:
    return model.Node(
        id=digit * 16, name=name, cluster="prod", cloud="aws", region="us-east-1", zone="b"
    )


@asynccontextmanager
async def observed(
    endpoint: str = "", of: model.Node | None = None, **options: Any
) -> AsyncIterator[Telemetry]:
    given = model.Telemetry(otlp_endpoint=endpoint, **options)
    telemetry = Telemetry(given, of or node(), "1.2.3", Random(1))
    try:
        yield telemetry
    finally:
        await telemetry.stop()


async def test_spans_arrive_with_their_resource_and_nested_across_nodes() -> None:
    async with receiving() as collector:
        async with (
            observed(collector.endpoint) as one,
            observed(collector.endpoint, node("gcp-b", "b")) as other,
        ):
            with one.span("chunk.send", kind="client", chunk=17), one.span("inner") as inner:
                metadata = inject()
                assert extract(metadata) == inner.traceparent == traceparent()
            with other.span("chunk.store", kind="server", parent=extract(metadata), method="/x"):
                pass
        await collector.until(3)
        send, inside, store = (collector.named(n) for n in ("chunk.send", "inner", "chunk.store"))
        assert send.trace_id == inside.trace_id == store.trace_id
        assert (send.parent_span_id, inside.parent_span_id) == (b"", send.span_id)
        assert store.parent_span_id == inside.span_id
        assert {a.key for a in store.attributes} == {"rpc.method"}
        by_name = {span.name: resource for resource, span in collector.spans}
        assert by_name["chunk.send"] == {
            "service.name": "nodeagentd",
            "service.instance.id": "a" * 16,
            "service.version": "1.2.3",
            "service.namespace": "prod",
            "host.name": "aws-a",
            "cloud.provider": "aws",
            "cloud.region": "us-east-1",
            "cloud.availability_zone": "b",
        }
        assert by_name["chunk.store"]["service.instance.id"] == "b" * 16


@pytest.mark.parametrize(
    "value",
    ["", "x", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "00-1-2-01", "é" * 55, "00-" * 9_999],
)
async def test_a_traceparent_that_is_none_begins_a_new_trace(value: str) -> None:
    assert extract([("traceparent", value)]) == ""
    async with observed() as telemetry:
        with telemetry.span("x", parent=value) as span:
            assert int(span.trace_id, 16) != 0


def fail_inside(telemetry: Telemetry) -> None:
    with telemetry.span("outer"):
        with telemetry.span("before"):
            pass
        with telemetry.span("failing"):
            raise McError("DAMAGE", "chunk 4711 is damaged")


async def test_one_in_many_is_sent_and_what_failed_is_sent_whole() -> None:
    async with receiving() as collector:
        async with observed(collector.endpoint, trace_one_in=1_000_000) as telemetry:
            for _ in range(200):
                with telemetry.span("fine"):
                    pass
            with pytest.raises(McError):
                fail_inside(telemetry)
        await collector.until(3)
        assert sorted(s.name for _, s in collector.spans) == ["before", "failing", "outer"]
        failing = collector.named("failing")
        assert failing.status.message == "chunk 4711 is damaged [DAMAGE]"
        assert {a.value.string_value for a in failing.attributes} == {"DAMAGE"}


async def test_all_nodes_follow_the_decision_at_the_head() -> None:
    async with receiving() as collector:
        async with (
            observed(collector.endpoint) as head,
            observed(collector.endpoint, trace_one_in=1_000_000) as follower,
        ):
            with head.span("head") as span:
                pass
            with follower.span("follows", parent=span.traceparent):
                pass
            with follower.span("alone") as alone:
                pass
            with head.span("not either", parent=alone.traceparent):
                pass
            head.reload(model.Telemetry(trace_one_in=1_000_000))
            with head.span("after the reload"):
                pass
        await collector.until(2)
        assert sorted(s.name for _, s in collector.spans) == ["follows", "head"]


async def test_a_cancelled_span_has_not_failed() -> None:
    async with observed() as telemetry:
        with pytest.raises(asyncio.CancelledError), telemetry.span("x") as span:
            raise asyncio.CancelledError
        (ended,) = telemetry.spans_of(span.trace_id)
        assert ended.status.is_unset


async def test_the_ring_keeps_the_newest_spans_and_is_bounded() -> None:
    async with observed() as telemetry:
        with telemetry.span("first") as first:
            pass
        for _ in range(RING_SPANS_MAX + 1000):
            with telemetry.span("x") as last:
                pass
        assert len(telemetry.ring) == RING_SPANS_MAX
        assert [s.name for s in telemetry.spans_of(last.trace_id)] == ["x"]
        assert telemetry.spans_of(first.trace_id) == ()
        with telemetry.span("long"):
            for _ in range(5000):
                with telemetry.span("x"):
                    pass
        assert len(telemetry.ring) <= RING_SPANS_MAX


async def test_secrets_stay_out_of_spans() -> None:
    async with observed() as telemetry:
        pem = "-----BEGIN PRIVATE KEY-----\nabc"
        with telemetry.span("x", cluster_key="s3cret", note=pem, more={"token": "s3cret"}) as span:
            span.fact(passphrase="s3cret")
            span.fail("FAILED", pem)
        (ended,) = telemetry.spans_of(span.trace_id)
        assert "s3cret" not in str(dict(ended.attributes or {}))
        assert "abc" not in str(dict(ended.attributes or {}))
        assert ended.status.description == "***"


async def flood(telemetry: Telemetry, count: int) -> None:
    """Many spans; none of them may wait."""
    worst = 0.0
    for _ in range(count):
        started = time.perf_counter()
        with telemetry.span("x"):
            pass
        worst = max(worst, time.perf_counter() - started)
        await asyncio.sleep(0)
    assert worst < SPAN_S_MAX


def closed_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])


async def test_an_absent_collector_costs_nothing_and_what_is_lost_is_counted() -> None:
    endpoint = f"http://127.0.0.1:{closed_port()}"
    started = time.perf_counter()
    async with observed(endpoint, queue_spans_max=64) as telemetry:
        assert time.perf_counter() - started < 0.5
        await flood(telemetry, 1000)
        assert telemetry.spans_waiting <= 64
        assert telemetry.spans_dropped + telemetry.spans_waiting == 1000
        assert b"mc_spans_dropped 9" in telemetry.metrics_text()
    assert telemetry.spans_dropped == 1000


async def test_a_collector_that_never_answers_holds_nobody_up() -> None:
    async with receiving() as collector:
        collector.hangs = True
        async with observed(collector.endpoint, queue_spans_max=64) as telemetry:
            await flood(telemetry, 500)
            async with asyncio.timeout(10):
                while not collector.calls:
                    await asyncio.sleep(0.01)
            await flood(telemetry, 500)
            assert telemetry.spans_waiting <= 64
            started = time.perf_counter()
            await telemetry.stop(0.2)
            assert time.perf_counter() - started < 2
        assert telemetry.spans_dropped == 1000


@pytest.mark.parametrize(
    "answer", [grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INVALID_ARGUMENT]
)
async def test_a_collector_that_refuses_loses_spans_that_are_counted(
    answer: grpc.StatusCode,
) -> None:
    async with receiving() as collector:
        collector.answer = answer
        async with observed(collector.endpoint) as telemetry:
            await flood(telemetry, 600)
        assert telemetry.spans_dropped == 600
        assert collector.spans == []


async def test_spans_that_a_collector_rejects_are_counted() -> None:
    async with receiving() as collector:
        collector.rejects = 3
        async with observed(collector.endpoint) as telemetry:
            await flood(telemetry, 10)
        assert telemetry.spans_dropped == 3


async def test_something_that_is_no_collector_is_survived() -> None:
    async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        await reader.read(100)
        writer.close()

    server = await asyncio.start_server(http, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, observed(f"http://127.0.0.1:{port}", queue_spans_max=64) as telemetry:
        await flood(telemetry, 300)
        assert telemetry.spans_waiting <= 64
    assert telemetry.spans_dropped == 300


async def test_a_collector_that_comes_late_gets_what_waited_and_each_change_is_said_once() -> None:
    port = closed_port()
    async with observed() as telemetry:
        with capture_logs() as said:
            await come_late(telemetry, port)
        events = [line["event"] for line in said]
        assert events == ["otlp_collector_unreachable", "otlp_collector_reached"]


async def come_late(telemetry: Telemetry, port: int) -> None:
    outbox = Outbox(Collector(f"http://127.0.0.1:{port}", 0.5), 64, Random(3), every_s=0.01)
    with telemetry.span("early") as span:
        pass
    outbox.offer(telemetry.spans_of(span.trace_id)[0])
    await asyncio.sleep(1.0)  # Long enough for several tries.
    async with receiving(port) as collector:
        await collector.until(1)
        await asyncio.to_thread(outbox.stop, 1.0)
    assert outbox.dropped == 0


async def test_nothing_is_left_running() -> None:
    before = set(threading.enumerate())
    async with receiving() as collector:
        async with observed(collector.endpoint, otlp_metrics=True) as telemetry:
            await flood(telemetry, 10)
        left = {t.name for t in set(threading.enumerate()) - before}
        assert not left & {"otlp", "OtelPeriodicExportingMetricReader"}, left


def test_the_start_of_a_daemon_does_not_wait_for_the_exporter() -> None:
    code = (
        "import sys; from random import Random; from nodeagent.config import model;"
        "from nodeagent.telemetry import Telemetry;"
        "node = model.Node(id='a' * 16, name='n', cluster='c', cloud='aws', region='r');"
        "Telemetry(model.Telemetry(otlp_endpoint='http://127.0.0.1:1'), node, '1', Random());"
        "sys.exit(any(name.startswith('opentelemetry.proto') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 0
