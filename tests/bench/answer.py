"""How soon port 7444 answers: at rest, and while every core is busy and the API is, too."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from identity.names import Identity
from mcctl.dev import meet
from tests.bench.bare import bare_server
from tests.bench.calls import check_on
from tests.bench.cluster import DevCluster
from tests.bench.frame import Goal, Row, row
from tests.bench.load import Call, Channels, one_by_one

PROBES, PAUSE_S = 400, 0.025  # For each node; the guard's budget lets 50 a second pass.
WARM = 20
STREAM_PAUSE_S = 0.1
P99_GOAL = Goal(20.0)
SPIN = "while True: pass"


async def rows(cluster: DevCluster) -> AsyncIterator[Row]:
    how = f"`Health/Check` on port 7444, {PROBES} of each node"
    async with _probes(cluster) as probes:
        await _probed(probes, WARM)
        for found in _rows(await _probed(probes, PROBES), "at rest", how):
            yield found
        how += f"; {os.cpu_count()} endless loops, and calls to every API"
        async with _busy(cluster):
            for found in _rows(await _probed(probes, PROBES), "all cores busy", how):
                yield found
            async with _floor(cluster) as floor:
                found_ms = await _probed([floor], PROBES)
    how = "a bare server, busy as above: the machine's floor"
    yield row("answer of nobody's watch, all cores busy", found_ms, "ms", how)
    yield row("answer of nobody's watch, all cores busy, p99", found_ms, "ms", how, at="p99")


def _rows(found_ms: Sequence[float], when: str, how: str) -> list[Row]:
    name = f"answer of the watch, {when}"
    return [
        row(name, found_ms, "ms", how),
        row(f"{name}, p99", found_ms, "ms", how, at="p99", goal=P99_GOAL),
        row(f"{name}, max", found_ms, "ms", how, at="max"),
    ]


@asynccontextmanager
async def _probes(cluster: DevCluster) -> AsyncIterator[list[Call]]:
    context = cluster.home.contexts.load(cluster.described["context"])
    async with AsyncExitStack() as stack:
        probes = []
        for node in cluster.described["nodes"]:
            dns_name = Identity(context.cluster, "node", node["id"]).dns_name
            opened = Channels(node["watch"], dns_name, context.credentials)
            (channel,) = await stack.enter_async_context(opened)
            probes.append(check_on(channel))
        yield probes


@asynccontextmanager
async def _floor(cluster: DevCluster) -> AsyncIterator[Call]:
    """The same call on a server that has nothing else to do, with the first node's certificate."""
    context = cluster.home.contexts.load(cluster.described["context"])
    node = cluster.described["nodes"][0]
    folder = Path(node["config"]).parent
    dns_name = Identity(context.cluster, "node", node["id"]).dns_name
    async with bare_server(folder / "identity", folder / "bare") as (_, address):
        async with Channels(address, dns_name, context.credentials) as (channel,):
            yield check_on(channel)


async def _probed(probes: Sequence[Call], count: int) -> list[float]:
    async def probe(call: Call, late_s: float) -> None:
        await asyncio.sleep(late_s)  # Not all in step.
        for _ in range(count):
            found_ms.extend(await one_by_one(call, 1))
            await asyncio.sleep(PAUSE_S)

    found_ms: list[float] = []
    async with asyncio.TaskGroup() as group:
        for number, call in enumerate(probes):
            group.create_task(probe(call, number * PAUSE_S / len(probes)))
    return found_ms


@asynccontextmanager
async def _busy(cluster: DevCluster) -> AsyncIterator[None]:
    """A loop for each core, and a stream of calls to every node."""
    loops = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", SPIN)
        for _ in range(os.cpu_count() or 1)
    ]
    try:
        async with cluster.client() as client, asyncio.TaskGroup() as group:

            async def stream() -> None:
                while True:
                    await meet.views(client, cluster.names)
                    await asyncio.sleep(STREAM_PAUSE_S)

            await meet.views(client, cluster.names)  # All are dialled before it counts.
            calling = group.create_task(stream())
            yield
            calling.cancel()
    finally:
        for process in loops:
            process.kill()
            await process.wait()
