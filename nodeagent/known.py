"""What a node knows of others: whether they are there, what they are called, where they listen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from coordinator.types import Knowing, NodeId, View
from nodeagent.config.live import LiveConfig
from nodeagent.rpc.facts import address_of, watch_address_of
from nodeagent.rpc.roster import Roster


@dataclass(frozen=True, slots=True)
class Known:
    """Made before those that it asks: they are looked up when they are needed."""

    live: LiveConfig
    view: Callable[[], View]
    roster_now: Callable[[], Roster]
    removed_names: Callable[[], Mapping[NodeId, str]]

    @property
    def roster(self) -> Roster:
        return self.roster_now()

    def knowing(self, node: NodeId) -> Knowing | None:
        member = self.view().members.get(node)
        return member.knowing if member else None

    def is_removed(self, node: NodeId) -> bool:
        return self.knowing(node) is Knowing.REMOVED

    def watch_address(self, node: NodeId) -> str:
        peer = self.roster.peers.get(node)
        return watch_address_of(self.live.current, self.roster.own, peer)

    def api_address(self, node: NodeId) -> str:
        peer = self.roster.peers.get(node)
        return address_of(self.live.current, self.roster.own, peer) if peer else ""

    def round_s_of(self, node: NodeId) -> float | None:
        peer = self.roster.peers.get(node)
        return peer.rtt_ms / 1000 if peer and peer.rtts_ms else None

    def cloud_of(self, node: NodeId) -> str:
        peer = self.roster.peers.get(node)
        return peer.facts.domain.cloud if peer and peer.facts else ""

    def name_of(self, node: NodeId) -> str:
        if node == self.roster.own.id:
            return self.roster.own.name
        peer = self.roster.peers.get(node)
        return peer.name if peer and peer.facts else self.removed_names().get(node, node)
