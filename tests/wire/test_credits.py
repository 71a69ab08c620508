"""Byte credits over the wire: nobody sends more than was granted, memory stays within its budget,
and what stands still gives its place back.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest

from multicloud.channel import Credentials
from multicloud.errors import McError
from nodeagent.core.chunk.layout import FRAME_SEALED_BYTES_MAX
from nodeagent.store.volumes import Volumes
from nodeagent.wire.budget import WINDOW_BYTES_FIRST
from tests.support.chunks import seal
from tests.support.faulty import Faulty
from tests.support.nodes import Running, make_place, running, until
from tests.support.people import People
from tests.support.puts import Sending, opening, parts_of, put, sending

MIB = 1 << 20
LIMITS = {
    "stream_stall_s": 2,
    "bytes_in_flight_max": 32 * MIB,
    "bytes_in_flight_per_peer_max": 24 * MIB,
}
WINDOWS = 24 * MIB // FRAME_SEALED_BYTES_MAX
BIG = seal(bytes(range(256)) * (12 * MIB // 256), frame_bytes=MIB)
UPLOADS = 64


@pytest.fixture(scope="module")
async def node(people: People, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    place = make_place(people, Path(tmp_path_factory.mktemp("credit")), 1, {"limits": LIMITS})
    async with running(place) as one:
        yield one


def used(node: Running) -> int:
    return node.node.data.budget.used_bytes


async def test_a_sender_starts_with_nothing_and_gets_a_small_window(
    node: Running, sender: Credentials
) -> None:
    async with sending(node, sender) as stream:
        await stream.send(opening())
        await stream.until(lambda: stream.credits)
        assert stream.credits == WINDOW_BYTES_FIRST == used(node)
    await until(lambda: used(node) == 0)


async def test_a_sender_that_ignores_its_credit_is_refused(
    people: People, tmp_path: Path, sender: Credentials
) -> None:
    place = make_place(people, tmp_path, 1)
    store = Faulty(place.id, clock=lambda: 1e9)
    store.fails = "hangs"
    async with running(place, Volumes([store])) as node:
        async with sending(node, sender) as stream:
            await stream.send(opening())
            for part in parts_of(BIG):
                await stream.send(part.raw)
            with pytest.raises(McError) as error:
                await stream.end()
        assert error.value.reason == "BAD_REQUEST"
        assert "were allowed" in error.value.message
        await until(lambda: used(node) == 0)
        assert store.health().bytes_free == store.health().bytes_total


async def test_credit_comes_back_as_bytes_are_taken(node: Running, sender: Credentials) -> None:
    (fact,) = await put(node, sender, BIG)
    assert fact.outcome == "stored"


async def test_half_open_uploads_stay_within_the_budget_and_give_their_places_back(
    node: Running, sender: Credentials
) -> None:
    before = psutil.Process().memory_info().rss
    parts = parts_of(BIG)
    async with AsyncExitStack() as stack:
        streams: list[Sending] = []
        for number in range(UPLOADS):
            stream = await stack.enter_async_context(sending(node, sender))
            await stream.send(opening(job=f"job-{number}"))
            streams.append(stream)
        await until(lambda: all(s.ended or s.credits for s in streams))
        refused = [s.error for s in streams if s.error]
        assert UPLOADS - WINDOWS <= len(refused) < UPLOADS
        assert {e.reason for e in refused} == {"TOO_BUSY"}
        assert all(e.retry_after_s for e in refused)
        for stream in streams:
            if not stream.ended:  # As much as it may, and then nothing more.
                for part in parts[:3]:
                    await stream.send(part.raw)
        assert used(node) <= LIMITS["bytes_in_flight_per_peer_max"]
        grown = psutil.Process().memory_info().rss - before
        assert grown < 6 * LIMITS["bytes_in_flight_max"]  # Sender and node are one process here.
        # Those that stand still are ended, and their places are free again.
        await until(lambda: all(s.ended for s in streams))
        assert {s.error.reason for s in streams if s.error} == {"TOO_BUSY", "STALLED"}
    await until(lambda: used(node) == 0)
    (fact,) = await put(node, sender, BIG)
    assert fact.error is None


async def test_one_peer_leaves_room_for_others(
    node: Running, sender: Credentials, people: People
) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(WINDOWS + 1):
            stream = await stack.enter_async_context(sending(node, sender))
            await stream.send(opening())
            await stream.until(lambda s=stream: s.credits or s.ended)
        assert stream.error
        assert stream.error.reason == "TOO_BUSY"
        (fact,) = await put(node, people.node("e" * 16), seal(b"small"))
        assert fact.outcome == "stored"
