"""Distance measured over real connections by loops that are busy: the recipe as a whole."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from random import Random

from coordinator.distance import Measured, Stamps
from coordinator.latency import Latency
from coordinator.types import Domain
from nodeagent.ops.looplag import TELLS_S, LoopLag

DELAY_S = 0.02  # One way
RTT_MS = 2 * DELAY_S * 1000
HERE, THERE = Domain("aws", "us-east-1"), Domain("gcp", "us-central1")
PEER = "00000000000000bb"


def test_a_stall_shows_while_it_lasts_and_a_moment_longer() -> None:
    now = [10.0]
    lag = LoopLag(lambda: now[0])
    assert lag.lag_s() == 0, "not begun"
    lag.due_s = 10.05
    now[0] = 10.04
    assert lag.lag_s() == 0
    now[0] = 10.35
    assert abs(lag.lag_s() - 0.3) < 1e-9, "the beat is held up"
    lag.beaten()
    lag.due_s = 10.4
    assert abs(lag.lag_s() - 0.3) < 1e-9, "it has just come"
    now[0] += TELLS_S + 0.001
    lag.due_s = now[0] + 0.05
    assert lag.lag_s() == 0


@asynccontextmanager
async def answering(lag: LoopLag, hold_s: float) -> AsyncIterator[int]:
    """A far node: each line is held, and answered after the delay of both ways."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            while line := await reader.readline():
                await asyncio.sleep(DELAY_S)
                received_s = time.monotonic()
                await asyncio.sleep(hold_s)
                lag_s = lag.lag_s()
                held_s = time.monotonic() - received_s
                await asyncio.sleep(DELAY_S)
                writer.write(b"%s %.9f %.9f\n" % (line.strip(), held_s, lag_s))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def probing(
    latency: Latency, lag: LoopLag, port: int, enough: int
) -> tuple[int, list[float]]:
    """Probes until so many samples were taken; how many were dropped, what a naive clock saw."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    dropped, taken, naive_ms = 0, 0, []
    with closing(writer):
        while taken < enough:
            writer.write(b"%.9f\n" % time.monotonic())
            sent, held, their_lag = (await reader.readline()).split()
            now_s = time.monotonic()
            stamps = Stamps(float(sent), now_s, float(held), lag.lag_s(), float(their_lag))
            naive_ms.append((now_s - float(sent)) * 1000)
            if latency.answered(PEER, THERE, stamps, now_s):
                taken += 1
            else:
                dropped += 1
    return dropped, naive_ms


async def busy(rng: Random) -> None:
    while True:
        time.sleep(rng.uniform(0.0, 0.03))  # noqa: ASYNC251
        await asyncio.sleep(0.04)


async def measured_while(hold_s: float, seed: int | None) -> tuple[Measured, int, list[float]]:
    latency, lag = Latency(HERE, Random(1)), LoopLag()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        background = [group.create_task(lag.run())]
        if seed is not None:
            background.append(group.create_task(busy(Random(seed))))
        async with answering(lag, hold_s) as port:
            dropped, naive_ms = await probing(latency, lag, port, 12)
        for task in background:
            task.cancel()
    found = latency.measured(PEER, time.monotonic())
    assert found is not None
    return found, dropped, naive_ms


async def test_a_held_answer_is_as_far_as_the_network_and_no_farther() -> None:
    found, _, naive_ms = await measured_while(hold_s=0.05, seed=None)
    assert abs(found.ms - RTT_MS) <= max(2, RTT_MS * 0.1)
    assert min(naive_ms) > RTT_MS + 45
    assert 45 < found.service_ms < 500


async def test_busy_loops_are_as_far_apart_as_idle_ones() -> None:
    found, dropped, naive_ms = await measured_while(hold_s=0.0, seed=1)
    assert abs(found.ms - RTT_MS) <= max(2, RTT_MS * 0.1)
    assert dropped > 0, "no sample was late; the test shows nothing"
    assert max(naive_ms) > RTT_MS * 1.25
