"""AdminService.GetRtt: the matrix of round-trip times as this node knows it, each cell with its age
and whether somebody measured it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Protocol, TypeGuard

from coordinator.distance import LatencySettings, Measured
from coordinator.rtt_table import Rtt, RttTable
from coordinator.types import Domain, Knowing, Member, NodeId, View
from multicloud.errors import McError
from multicloud.v1 import admin_pb2
from nodeagent.rpc.call import Call

# Two names of at most 63 + 63 bytes and three figures a pair: the answer stays under 4 MiB.
ROWS_MAX = 150
SURE_SAMPLES = LatencySettings().publish_samples
_THERE = {Knowing.ALIVE, Knowing.SUSPECT, Knowing.UNREACHABLE}


class Distances(Protocol):
    """What the brain knows: snapshots that nobody changes."""

    def view(self) -> View: ...
    def rtts(self) -> RttTable: ...
    def measured(self) -> Mapping[NodeId, Measured]:
        """By this node itself."""
        ...


@dataclass(slots=True)
class RttAdmin:
    distances: Distances
    clock_s: Callable[[], float] = time.monotonic

    async def get_rtt(
        self, request: admin_pb2.GetRttRequest, call: Call
    ) -> admin_pb2.GetRttResponse:
        members = [m for m in self.distances.view().members.values() if m.knowing in _THERE]
        pairs = self._of_regions(members) if request.by_region else self._of_nodes(members)
        return admin_pb2.GetRttResponse(pairs=pairs)

    def _of_nodes(self, members: Sequence[Member]) -> list[admin_pb2.RttPair]:
        named = sorted((m.facts.name, m.id, m.facts.domain) for m in members if m.facts)
        if len(named) > ROWS_MAX:
            raise McError(
                "TOO_LARGE",
                f"the matrix of {len(named)} nodes is too large for one answer, "
                f"which has room for {ROWS_MAX}",
                next="ask for regions: `mcctl rtt --by region`",
            )
        own, measured = self.distances.view().own, self.distances.measured()
        table, now_s = self.distances.rtts(), self.clock_s()
        pairs = []
        for (name, node, here), (other_name, other, there) in permutations(named, 2):
            # Of its own ways a node knows more than what it tells others of.
            direct = measured.get(other if node == own else node) if own in (node, other) else None
            rtt = _direct(direct) if _sure(direct) else table.rtt(here, there, now_s)
            pairs.append(_pair(name, other_name, rtt))
        return pairs

    def _of_regions(self, members: Sequence[Member]) -> list[admin_pb2.RttPair]:
        found = {m.facts.domain.place: m.facts.domain for m in members if m.facts}
        places = {place: Domain(at.cloud, at.region) for place, at in sorted(found.items())}
        if len(places) > ROWS_MAX:
            raise McError(
                "TOO_LARGE",
                f"the matrix of {len(places)} regions is too large for one answer, "
                f"which has room for {ROWS_MAX}",
            )
        table, now_s = self.distances.rtts(), self.clock_s()
        return [
            _pair(a, b, table.rtt(places[a], places[b], now_s)) for a, b in permutations(places, 2)
        ]


def _sure(measured: Measured | None) -> TypeGuard[Measured]:
    """One sample alone may be late; then what the region knows is nearer."""
    return measured is not None and measured.samples >= SURE_SAMPLES


def _direct(measured: Measured) -> Rtt:
    return Rtt(measured.ms, "measured", measured.age_s)


def _pair(a: str, b: str, rtt: Rtt) -> admin_pb2.RttPair:
    pair = admin_pb2.RttPair(to=b, ms=rtt.ms, measured=rtt.source == "measured", age_s=rtt.age_s)
    setattr(pair, "from", a)  # A word of Python's.
    return pair
