"""What a daemon holds while it is busy with data, and how soon its watch answers meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from tests.bench import cost, payload
from tests.bench.answer import P99_GOAL
from tests.bench.calls import check_on
from tests.bench.fleet import Fleet, bench_folder, fleet, listen_of, sender
from tests.bench.frame import Row, Say, row
from tests.bench.ingest import CHUNK_BYTES, MANY, NODES, RSS_GOAL, put_chunks
from tests.bench.lines import Asked
from tests.bench.load import Call, Channels, one_by_one

FILE_BYTES = 512 << 20
SLOW, SLOW_PAUSE_S = 16, 0.02
SMALL_BYTES, SMALL_FILE_BYTES, SMALL_MANY = 64 << 10, 64 << 20, 16
PROBE_EVERY_S = 0.025
Work = Callable[[], Awaitable[Any]]


async def rows(say: Say) -> AsyncIterator[Row]:
    async with AsyncExitStack() as stack:
        folder = await stack.enter_async_context(bench_folder())
        nodes = await stack.enter_async_context(fleet(folder, NODES))
        sending = await stack.enter_async_context(sender(nodes))
        file = payload.noise_file(folder / "noise", FILE_BYTES)
        small = payload.noise_file(folder / "small", SMALL_FILE_BYTES)
        chunks = list(await put_chunks(sending, file, NODES))
        probes = [await _probe(stack, nodes, number) for number in range(NODES)]
        ask = partial(sending.ask, chunk_bytes=CHUNK_BYTES, many=MANY)
        works: Mapping[str, Work] = {
            "ingest to three": partial(ask, "put", file=str(file), copies=NODES),
            "three readers": partial(_readers, sending, nodes, chunks),
            f"{SLOW} slow readers of one node": partial(
                sending.ask, "slow", node=nodes.ids[0], chunk=chunks[0], streams=SLOW,
                pause_s=SLOW_PAUSE_S,
            ),
            f"64 KiB puts, {SMALL_MANY} at once": partial(
                sending.ask, "put", file=str(small), copies=NODES, chunk_bytes=SMALL_BYTES,
                many=SMALL_MANY,
            ),
        }  # fmt: skip
        for what, work in works.items():
            say(what)
            for found in await _during(what, work, nodes, probes):
                yield found


async def _readers(sending: Asked, nodes: Fleet, chunks: list[str]) -> None:
    """The sender answers one line at a time; each node has its turn."""
    for node in nodes.ids:
        await sending.ask("get", node=node, chunks=chunks, chunk_bytes=CHUNK_BYTES, many=MANY)


async def _probe(stack: AsyncExitStack, nodes: Fleet, number: int) -> Call:
    daemon = nodes.daemons[number]
    opened = Channels(listen_of(daemon.place, "watch"), daemon.dns_name, nodes.operator)
    (channel,) = await stack.enter_async_context(opened)
    return check_on(channel)


async def _during(what: str, work: Work, nodes: Fleet, probes: list[Call]) -> list[Row]:
    for pid in nodes.pids:
        cost.forget_peak(pid)
    found_ms: list[float] = []

    async def probe(call: Call) -> None:
        while True:
            found_ms.extend(await one_by_one(call, 1))
            await asyncio.sleep(PROBE_EVERY_S)

    async with asyncio.TaskGroup() as group:
        probing = [group.create_task(probe(call)) for call in probes]
        await work()
        for task in probing:
            task.cancel()
    how = (
        f"`Health/Check` on port 7444 of {len(probes)} nodes, each every {PROBE_EVERY_S * 1e3:g} ms"
    )
    peaks = [cost.peak_mib(pid) for pid in nodes.pids]
    return [
        row(f"{what}: peak memory of a daemon", peaks, "MiB", "resident", at="max", goal=RSS_GOAL),
        row(f"{what}: answer of the watch, p99", found_ms, "ms", how, at="p99", goal=P99_GOAL),
    ]
