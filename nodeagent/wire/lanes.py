"""Connections for data to other nodes, apart from those of the control calls: one to a near peer,
several to a far one, as many as measured goodput asks for, with the streams spread over them.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc

from coordinator.places import node_of
from multicloud.errors import McError
from nodeagent.core.lanes import Climb, LaneSettings
from nodeagent.rpc.peers import Peers

# A sample is taken over that time and so many bytes: parts are too coarse for shorter ones.
SAMPLE_S_MIN, SAMPLE_S_MAX = 0.5, 5.0
SAMPLE_BYTES = 8 << 20
IDLE_S = 60.0  # A further connection that nobody used for so long is closed.
PEERS_MAX = 1024  # Whose numbers are remembered.


@dataclass(slots=True)
class Traffic:
    """The streams to one peer, and what they bring; from it come the samples."""

    climb: Climb
    began_s: float
    open: dict[int, int] = field(default_factory=dict)  # Lane to streams.
    least: int = 0  # Streams that were open at any time of this sample.
    moved: int = 0

    @property
    def streams(self) -> int:
        return sum(self.open.values())

    def enter(self, now_s: float, connected: Callable[[int], bool]) -> int:
        """The lane with the fewest streams; a further one only once it stands."""
        if not self.streams:
            self._begin(now_s, 1)
        lanes = [lane for lane in range(self.climb.lanes) if not lane or connected(lane)]
        lane = min(lanes, key=lambda lane: self.open.get(lane, 0))
        self.open[lane] = self.open.get(lane, 0) + 1
        return lane

    def leave(self, lane: int) -> None:
        self.open[lane] -= 1
        if not self.open[lane]:
            del self.open[lane]
        self.least = min(self.least, self.streams)

    def add(self, size_bytes: int, now_s: float, round_s: float | None) -> None:
        self.moved += size_bytes
        passed_s = now_s - self.began_s
        enough = passed_s >= SAMPLE_S_MIN and self.moved >= SAMPLE_BYTES
        if enough or passed_s >= SAMPLE_S_MAX:
            self.climb.sample(self.moved / passed_s, self.least, round_s)
            self._begin(now_s, self.streams)

    def _begin(self, now_s: float, streams: int) -> None:
        self.began_s, self.moved, self.least = now_s, 0, streams


@dataclass(frozen=True, slots=True)
class OpenLane:
    """Where one stream goes. It tells what it moved."""

    channel: grpc.aio.Channel
    moved: Callable[[int], None]


@dataclass(slots=True)
class Lanes:
    """`peers` is used for nothing else: it renews and closes all of them."""

    peers: Peers
    address_of: Callable[[str], str]  # "" when none is known.
    round_s_of: Callable[[str], float | None] = lambda _: None
    settings: LaneSettings = field(default_factory=LaneSettings)
    clock_s: Callable[[], float] = time.monotonic
    _traffic: dict[str, Traffic] = field(default_factory=dict)

    def bulk(self, node_id: str) -> grpc.aio.Channel:
        """For a call that moves little."""
        node_id = node_of(node_id)
        return self.peers.channel(node_id, self._address(node_id))

    def count(self, node_id: str) -> int:
        """How many connections streams to that node are spread over now."""
        traffic = self._traffic.get(node_id)
        return traffic.climb.lanes if traffic else 1

    @contextmanager
    def stream(self, node_id: str) -> Iterator[OpenLane]:
        node_id = node_of(node_id)
        address = self._address(node_id)
        traffic = self._of(node_id)
        lane = traffic.enter(self.clock_s(), lambda lane: self._connected(node_id, address, lane))
        try:
            channel = self.peers.channel(node_id, address, lane)
            yield OpenLane(channel, lambda size_bytes: self._moved(node_id, size_bytes))
        finally:
            traffic.leave(lane)
            if lane and lane not in traffic.open:
                loop = asyncio.get_running_loop()
                loop.call_later(IDLE_S, self._close_idle, node_id, address, lane)

    def _connected(self, node_id: str, address: str, lane: int) -> bool:
        """If not yet, it is begun; no chunk waits for it or fails with it."""
        channel = self.peers.channel(node_id, address, lane)
        return channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY

    def _moved(self, node_id: str, size_bytes: int) -> None:
        round_s = self.round_s_of(node_id)
        self._of(node_id).add(size_bytes, self.clock_s(), round_s)

    def _close_idle(self, node_id: str, address: str, lane: int) -> None:
        if lane not in self._of(node_id).open:
            self.peers.drop(node_id, address, lane)

    def _of(self, node_id: str) -> Traffic:
        if node_id not in self._traffic:
            idle = [node for node, traffic in self._traffic.items() if not traffic.streams]
            if idle and len(self._traffic) >= PEERS_MAX:
                del self._traffic[idle[0]]
            self._traffic[node_id] = Traffic(Climb(self.settings), self.clock_s())
        return self._traffic[node_id]

    def _address(self, node_id: str) -> str:
        address = self.address_of(node_id)
        if not address:
            raise McError("NODE_UNKNOWN", f"no address of node {node_id} is known here")
        return address
