"""Streams to a far node go over several connections, to a near one over one; idle ones close."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from nodeagent.core.lanes import Climb, LaneSettings
from nodeagent.wire.lanes import Lanes, Traffic
from tests.support.nodes import Running, until

FAR_S, NEAR_S = 0.08, 0.0005


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
async def clock() -> Clock:
    return Clock()


@pytest.fixture
async def lanes(trio: list[Running], clock: Clock) -> AsyncIterator[Lanes]:
    node = trio[0].node
    addresses = {other.place.id: other.address for other in trio}
    peers = type(node.data.peers)(
        node.identity.cluster, node.identity.client_credentials, node.data.peers.spawn
    )
    yield Lanes(peers, addresses.__getitem__, lambda _: FAR_S, LaneSettings(), clock)
    await peers.close()


def flow(lanes: Lanes, node: str, clock: Clock, stack: AsyncExitStack, streams: int) -> list[Any]:
    """That many streams, over a way where each connection brings as much as any other."""
    opened = [stack.enter_context(lanes.stream(node)) for _ in range(streams)]
    for _ in range(60):
        clock.now_s += 1.0
        opened[0].moved(lanes.count(node) * (10 << 20))
    return opened


async def stand(lanes: Lanes, peer: Running) -> None:
    """Waits until all further connections are there."""
    further = range(1, lanes.count(peer.place.id))
    await until(lambda: all(lanes._connected(peer.place.id, peer.address, n) for n in further))


async def test_streams_to_a_far_node_are_spread_over_what_the_climb_allows(
    lanes: Lanes, trio: list[Running], clock: Clock
) -> None:
    node = trio[1].place.id
    async with AsyncExitStack() as stack:
        flow(lanes, node, clock, stack, 16)
        assert lanes.count(node) == LaneSettings().lanes_max
        waiting = stack.enter_context(lanes.stream(node))
        assert waiting.channel is lanes.bulk(node), "a chunk waits for no further connection"
        await stand(lanes, trio[1])
        more = [stack.enter_context(lanes.stream(node)) for _ in range(14)]
        assert len({id(lane.channel) for lane in more}) == 7  # The first one has 16 by now.
        for lane in more[:2]:
            stub = lane.channel.unary_unary("/grpc.health.v1.Health/Check")
            await stub(b"", timeout=5)


async def test_to_a_near_node_there_is_one_connection(
    lanes: Lanes, trio: list[Running], clock: Clock
) -> None:
    lanes.round_s_of = lambda _: NEAR_S
    async with AsyncExitStack() as stack:
        opened = flow(lanes, trio[1].place.id, clock, stack, 16)
        assert len({id(lane.channel) for lane in opened}) == 1
        assert lanes.count(trio[1].place.id) == 1


async def test_a_single_stream_needs_no_second_connection(
    lanes: Lanes, trio: list[Running], clock: Clock
) -> None:
    async with AsyncExitStack() as stack:
        flow(lanes, trio[1].place.id, clock, stack, 1)
        assert lanes.count(trio[1].place.id) == 1


async def test_a_further_connection_that_nobody_uses_is_closed(
    lanes: Lanes, trio: list[Running], clock: Clock
) -> None:
    node, address = trio[1].place.id, trio[1].address
    async with AsyncExitStack() as stack:
        flow(lanes, node, clock, stack, 16)
        await stand(lanes, trio[1])
        second = [stack.enter_context(lanes.stream(node)) for _ in range(2)][-1].channel
        lane = next(k[2] for k, v in lanes.peers._channels.items() if v is second)
        lanes._close_idle(node, address, lane)
        assert lanes.peers.channel(node, address, lane) is second  # It is in use.
    lanes._close_idle(node, address, lane)
    assert (node, address, lane) not in lanes.peers._channels


def test_who_has_the_fewest_streams_gets_the_next() -> None:
    def standing(lane: int) -> bool:
        return lane < 4

    traffic = Traffic(Climb(lanes=5), 0.0)
    assert [traffic.enter(0.0, standing) for _ in range(6)] == [0, 1, 2, 3, 0, 1]
    traffic.leave(2)
    assert traffic.enter(0.0, standing) == 2
    assert traffic.least == 1
