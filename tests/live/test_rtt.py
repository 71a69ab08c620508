"""`mcctl rtt` on a real cluster: the delays that were set come back, also from busy machines."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.live.cluster import Cluster

MEASURED_S_MAX = 60.0
BUSY_LOOKS, BUSY_LOOK_EVERY_S = 3, 5.0  # Longer than a window of samples reaches back.
OFF_SHARE, OFF_MS = 0.10, 2.0  # Whichever allows more.


def cells(cluster: Cluster, asked: str) -> dict[tuple[str, str], tuple[float, str]]:
    option = ("--context", cluster.described["context"], "--node", asked)
    pairs = cluster.home.json("rtt", *option)["pairs"]
    return {(pair["from"], pair["to"]): (pair["ms"], pair["source"]) for pair in pairs}


def set_ms(cluster: Cluster) -> dict[tuple[str, str], float]:
    links = cluster.dev("status")["links"]
    return {(link["from"], link["to"]): 2 * link["delay_ms"] for link in links}


def off(
    found: dict[tuple[str, str], tuple[float, str]], wanted_ms: dict[tuple[str, str], float]
) -> dict[tuple[str, str], tuple[float, float]]:
    """Pairs that are not measured, or too far from what was set."""
    wrong = {}
    for pair, want_ms in wanted_ms.items():
        ms, source = found.get(pair, (0.0, "absent"))
        if source != "measured" or abs(ms - want_ms) > max(OFF_SHARE * want_ms, OFF_MS):
            wrong[pair] = (ms, want_ms)
    return wrong


async def right(cluster: Cluster, asked: str, wanted_ms: dict[tuple[str, str], float]) -> None:
    """Waits until every pair is measured as it was set."""
    wrong: dict[tuple[str, str], tuple[float, float]] = {}
    try:
        async with asyncio.timeout(MEASURED_S_MAX):
            while wrong := off(await asyncio.to_thread(cells, cluster, asked), wanted_ms):
                await asyncio.sleep(0.5)
    except TimeoutError:
        raise AssertionError(f"(found, set) in ms: {wrong}") from None


@contextmanager
def every_core_busy() -> Iterator[None]:
    burn = "while True: sum(range(10000))"
    workers = [subprocess.Popen([sys.executable, "-c", burn]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


async def test_the_matrix_is_what_the_links_were_set_to(six: Cluster) -> None:
    await right(six, "aws-a", set_ms(six))


async def test_it_stays_so_while_every_core_is_busy(six: Cluster) -> None:
    wanted_ms = set_ms(six)
    await right(six, "gcp-a", wanted_ms)
    with every_core_busy():
        for _ in range(BUSY_LOOKS):
            await asyncio.sleep(BUSY_LOOK_EVERY_S)
            wrong = off(await asyncio.to_thread(cells, six, "gcp-a"), wanted_ms)
            assert not wrong, f"(found, set) in ms: {wrong}"


async def test_a_longer_way_is_seen_by_the_nodes_at_its_ends(six: Cluster) -> None:
    pair = ("aws-a", "gcp-a")
    try:
        six.dev("link", *pair, "--delay-ms", "120")
        await right(six, "aws-a", {pair: 240.0})
    finally:
        six.dev("heal")
    await right(six, "aws-a", {pair: set_ms(six)[pair]})
