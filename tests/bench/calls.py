"""What a call costs: alone and among many, with the guard and without, audited, and traced."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from multicloud.v1 import admin_pb2, admin_pb2_grpc
from nodeagent.config.load import load
from tests.bench.bare import PATH as CHECK
from tests.bench.bare import bare_server
from tests.bench.daemon import Daemon, World, running, world
from tests.bench.frame import Row, Say, row
from tests.bench.load import Burst, Call, Channels, at_once, one_by_one
from tests.support.otlp import receiving

ALONE = 2000
AUDITED_ALONE = 300
WARM_CALLS = 200
BURST_S = 1.0
ROUNDS = 5
IN_FLIGHT = 16
CHANNELS, IN_FLIGHT_EACH = 16, 4
AUDITED_IN_FLIGHT = 64
LINE_BYTES = 512  # About what a record of the audit log has.
NO_LIMIT = {"limits": {"control_calls_per_s": 100_000, "control_calls_burst": 100_000}}
NOBODY = "http://127.0.0.1:9"  # The port that discards; nothing listens there.


async def rows(say: Say) -> AsyncIterator[Row]:
    async with world(NO_LIMIT) as place:
        for part in (_reading, _guard, _audited):
            say(part.__doc__ or part.__name__)
            async with running(place) as daemon:
                async for found in part(daemon):
                    yield found
        say("Calls and the way to a collector.")
        async for found in _telemetry(place):
            yield found


def _channels(daemon: Daemon, count: int = 1) -> Channels:
    address = load(daemon.place.config, {}, {}).config.listen.api
    return Channels(address, daemon.dns_name, daemon.operator, count)


def _list_nodes(channel: grpc.aio.Channel) -> Call:
    stub: Any = admin_pb2_grpc.AdminServiceStub(channel)
    return lambda: stub.ListNodes(admin_pb2.ListNodesRequest(), timeout=10)


def check_on(channel: grpc.aio.Channel) -> Call:
    call: Any = channel.unary_unary(
        CHECK,
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    return lambda: call(health_pb2.HealthCheckRequest(), timeout=10)


def _change(channel: grpc.aio.Channel) -> Call:
    """The least call that is audited: it asks for no revocation."""
    stub: Any = admin_pb2_grpc.AdminServiceStub(channel)
    return lambda: stub.AddRevocations(admin_pb2.AddRevocationsRequest(), timeout=10)


async def _reading(daemon: Daemon) -> AsyncIterator[Row]:
    """Calls that read."""
    async with _channels(daemon) as (channel,):
        call = _list_nodes(channel)
        await one_by_one(call, WARM_CALLS)
        found_ms = await one_by_one(call, ALONE)
        how = "`ListNodes`, one after the other, through TLS and guard"
        yield row("unary call", found_ms, "ms", how)
        yield row("unary call, p99", found_ms, "ms", how, at="p99")
        bursts = [await at_once([call] * IN_FLIGHT, BURST_S, daemon.pid) for _ in range(ROUNDS)]
        for found in _burst_rows("1 channel", bursts, f"{IN_FLIGHT} in flight"):
            yield found
    async with _channels(daemon, CHANNELS) as channels:
        calls = [_list_nodes(c) for c in channels for _ in range(IN_FLIGHT_EACH)]
        await at_once(calls, BURST_S, daemon.pid)
        bursts = [await at_once(calls, BURST_S, daemon.pid) for _ in range(ROUNDS)]
        how = f"{IN_FLIGHT_EACH} in flight on each"
        for found in _burst_rows(f"{CHANNELS} channels", bursts, how):
            yield found


def _burst_rows(name: str, bursts: Sequence[Burst], how: str) -> list[Row]:
    told = f"`ListNodes`, {how}; the client, in Python too, has the other core"
    per_s, late_ms = [b.per_s for b in bursts], [ms for b in bursts for ms in b.ms]
    return [
        row(f"calls, {name}", per_s, "calls/s", told, more_is_better=True),
        row(f"calls, {name}, p99", late_ms, "ms", told, at="p99"),
    ]


async def _guard(daemon: Daemon) -> AsyncIterator[Row]:
    """The guard beside a bare handler, in turns."""
    guarded, bare = list[Burst](), list[Burst]()
    identity, state = (daemon.place.folder / name for name in ("identity", "bare"))
    async with bare_server(identity, state) as (pid, address), _channels(daemon) as (channel,):
        async with Channels(address, daemon.dns_name, daemon.operator) as (bare_channel,):
            calls, floor_calls = (
                [check_on(channel)] * IN_FLIGHT,
                [check_on(bare_channel)] * IN_FLIGHT,
            )
            await at_once(calls, BURST_S, daemon.pid)
            await at_once(floor_calls, BURST_S, pid)
            for _ in range(ROUNDS):
                guarded.append(await at_once(calls, BURST_S, daemon.pid))
                bare.append(await at_once(floor_calls, BURST_S, pid))
    how = f"`Health/Check`, {IN_FLIGHT} in flight: identity, role, budget, deadline, span, metrics"
    yield row("a guarded call", [b.cpu_us for b in guarded], "µs of CPU", how)
    how = "the same server, TLS and messages, a handler that only answers"
    yield row("a bare call", [b.cpu_us for b in bare], "µs of CPU", how)
    pairs = list(zip(guarded, bare, strict=True))
    how = "of the two above, round by round"
    yield row(
        "guard, times the CPU of a bare call", [g.cpu_us / b.cpu_us for g, b in pairs], "", how
    )
    share = [g.per_s / b.per_s for g, b in pairs]
    what = "guard, share of the bare calls/s"
    yield row(what, share, "", "of the same rounds", more_is_better=True)


async def _audited(daemon: Daemon) -> AsyncIterator[Row]:
    """Calls that change something: durable in the audit log before they act."""
    async with _channels(daemon, 2) as channels:
        calls = [_change(channel) for channel in channels]
        await one_by_one(calls[0], 10)
        found_ms = await one_by_one(calls[0], AUDITED_ALONE)
        how = "`AddRevocations` of none: one record, synced, before the answer"
        yield row("audited call", found_ms, "ms", how)
        yield row("audited call, p99", found_ms, "ms", how, at="p99")
        many = calls * (AUDITED_IN_FLIGHT // len(calls))
        bursts = [await at_once(many, BURST_S, daemon.pid) for _ in range(ROUNDS)]
        how = f"{AUDITED_IN_FLIGHT} in flight; those that wait share a sync"
        per_s = [b.per_s for b in bursts]
        yield row("audited calls", per_s, "calls/s", how, more_is_better=True)
    floor_ms = await asyncio.to_thread(_synced_lines, daemon.place.folder)
    how = f"{LINE_BYTES} bytes appended and fdatasync, same disk: the machine's floor"
    yield row("a synced line", floor_ms, "ms", how)


def _synced_lines(folder: Path) -> list[float]:
    found_ms = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(AUDITED_ALONE):
            begun_ns = time.perf_counter_ns()
            os.write(file.fileno(), b"x" * LINE_BYTES)
            os.fdatasync(file.fileno())
            found_ms.append((time.perf_counter_ns() - begun_ns) / 1e6)
    return found_ms


async def _telemetry(place: World) -> AsyncIterator[Row]:
    """One daemon for each case, since the collector is no option that a reload takes."""
    async with receiving() as receiver:
        cases = (
            ("no collector", "", "spans are made and kept in a ring"),
            ("collector up", receiver.endpoint, "every call's span is sent to it"),
            ("collector away", NOBODY, "spans wait in a bounded queue, then are dropped"),
        )
        for name, endpoint, how in cases:
            settings = (f"telemetry.otlp_endpoint={endpoint}",) if endpoint else ()
            async with running(place, *settings) as daemon, _channels(daemon) as (channel,):
                calls = [check_on(channel)] * IN_FLIGHT
                await at_once(calls, BURST_S, daemon.pid)
                bursts = [await at_once(calls, BURST_S, daemon.pid) for _ in range(ROUNDS)]
            receiver.spans.clear()
            used = [b.cpu_us for b in bursts]
            yield row(f"a call, {name}", used, "µs of CPU", f"`Health/Check`; {how}")
