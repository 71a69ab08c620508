"""How far all others are, as this node measures it: fed with samples by the driver, asked for what
the node publishes about itself. No clock and no chance of its own.
"""

from collections import OrderedDict
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from random import Random

from coordinator.distance import NEVER_S, Distance, LatencySettings, Measured, Stamps
from coordinator.rtt_table import key_of
from coordinator.types import Coordinate, Domain, NodeId
from coordinator.vivaldi import Vivaldi


@dataclass(slots=True)
class _Peer:
    domain: Domain
    distance: Distance


@dataclass(slots=True)
class Latency:
    """One node's. `saved` is the coordinate it had before it was restarted."""

    domain: Domain
    rng: Random
    settings: LatencySettings = field(default_factory=LatencySettings)
    saved: Coordinate | None = None
    _peers: OrderedDict[NodeId, _Peer] = field(init=False, default_factory=OrderedDict)
    _published: Mapping[str, float] = field(init=False, default_factory=dict)
    _asked_s: dict[str, float] = field(init=False, default_factory=dict)  # By place
    _asking: list[NodeId] = field(init=False, default_factory=list)
    _vivaldi: Vivaldi = field(init=False)

    def __post_init__(self) -> None:
        self._vivaldi = Vivaldi(self.rng, self.saved)

    @property
    def coordinate(self) -> Coordinate:
        """This node's place in Vivaldi's space; to be published, and saved over restarts."""
        return self._vivaldi.coordinate

    def answered(
        self,
        peer: NodeId,
        domain: Domain,
        stamps: Stamps,
        now_s: float,
        coordinate: Coordinate | None = None,
    ) -> bool:
        """A probe came back. False where lateness would have been taken for distance; then only
        the service delay learns from it.
        """
        self._peer(peer, domain, now_s).distance.service(stamps.service_ms)
        rtt_ms = stamps.rtt_ms(self.settings)
        return rtt_ms is not None and self.sample(peer, domain, rtt_ms, now_s, coordinate)

    def sample(
        self,
        peer: NodeId,
        domain: Domain,
        rtt_ms: float,
        now_s: float,
        coordinate: Coordinate | None = None,
    ) -> bool:
        """A round trip, cleared of what the other side held it. False where it cannot be one."""
        distance = self._peer(peer, domain, now_s).distance
        if not distance.sample(rtt_ms, now_s):
            return False
        measured = distance.measured(now_s)
        if coordinate is not None and measured is not None:
            self._vivaldi.observe(peer, coordinate, measured.ms)
        return True

    def kernel(self, peer: NodeId, min_rtt_ms: float, now_s: float) -> bool:
        """The kernel's minimum of a connection to the peer. False for one never sampled: without
        an application's figure beside it nobody knows where the connection ends.
        """
        known = self._peers.get(peer)
        return known is not None and known.distance.kernel(min_rtt_ms, now_s)

    def measured(self, peer: NodeId, now_s: float) -> Measured | None:
        known = self._peers.get(peer)
        return known.distance.measured(now_s) if known else None

    def all_measured(self, now_s: float) -> Mapping[NodeId, Measured]:
        found = ((peer, known.distance.measured(now_s)) for peer, known in self._peers.items())
        return {peer: measured for peer, measured in found if measured is not None}

    def wanted(self, others: Mapping[NodeId, Domain], now_s: float) -> NodeId | None:
        """Whom to probe beside the watched, so that every region gets measured: a node of the one
        that was measured, or asked for here, the longest time ago. The same node a few times, then
        another; None while all is known.
        """
        if self._asking and self._asking[-1] in others:
            return self._asking.pop()
        place = self._least_known({d.place for d in others.values()} - {self.domain.place}, now_s)
        if place is None:
            return None
        self._asked_s[place] = now_s
        # By lot, so that not all nodes of a region ask the same one.
        chosen = self.rng.choice(sorted(node for node, d in others.items() if d.place == place))
        self._asking = [chosen] * (self.settings.far_probes - 1)
        return chosen

    def _least_known(self, far: Set[str], now_s: float) -> str | None:
        self._asked_s = {place: at_s for place, at_s in self._asked_s.items() if place in far}
        last_s = {place: self._asked_s.get(place, NEVER_S) for place in far}
        for known in self._peers.values():
            if (place := known.domain.place) in far:
                last_s[place] = max(known.distance.heard_s, last_s[place])
        oldest_s = min(last_s.values(), default=now_s)
        if now_s - oldest_s < self.settings.far_s:
            return None
        return self.rng.choice(sorted(p for p, at_s in last_s.items() if at_s == oldest_s))

    def forget(self, peer: NodeId) -> None:
        self._peers.pop(peer, None)
        self._vivaldi.forget(peer)

    def own_rtts(self, now_s: float) -> Mapping[str, float]:
        """What this node publishes (Facts.rtts_ms): place to the least to any node there.

        The same object as before while nothing has changed enough to tell.
        """
        least: dict[str, float] = {}
        for known in self._peers.values():
            measured = known.distance.measured(now_s)
            if measured is not None and measured.samples >= self.settings.publish_samples:
                place = key_of(self.domain, known.domain)
                least[place] = min(measured.ms, least.get(place, measured.ms))
        # A place that is told already is kept before a new one, so that the choice is steady.
        by_rank = sorted(least, key=lambda place: (place not in self._published, place))
        chosen = sorted(by_rank[: self.settings.places_max])
        published = {place: self._told_ms(place, least[place]) for place in chosen}
        if published != self._published:
            self._published = published
        return self._published

    def _told_ms(self, place: str, ms: float) -> float:
        before_ms = self._published.get(place)
        if before_ms is None:
            return ms
        small_ms = max(before_ms * self.settings.publish_share, self.settings.publish_ms)
        return before_ms if abs(ms - before_ms) <= small_ms else ms

    def _peer(self, peer: NodeId, domain: Domain, now_s: float) -> _Peer:
        """Ordered by who was heard last, so that the silent ones go from the front."""
        known = self._peers.pop(peer, None)
        if known is None or known.domain != domain:
            known = _Peer(domain, Distance(self.settings))
        self._peers[peer] = known
        while (first := next(iter(self._peers))) != peer and self._gives_way(first, now_s):
            self.forget(first)
        return known

    def _gives_way(self, peer: NodeId, now_s: float) -> bool:
        silent_s = now_s - self._peers[peer].distance.heard_s
        return silent_s > self.settings.sample_s_max or len(self._peers) > self.settings.peers_max
