"""Which volumes have a copy of one chunk, which of them count, and for what."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from coordinator.policy import Policy, Site, unmet
from coordinator.types import NodeId
from nodeagent.core.delivery_words import Copy


@dataclass(slots=True)
class Holdings:
    policy: Policy
    sites: dict[NodeId, Site] = field(default_factory=dict)  # Of everyone who was ever chosen.
    names: dict[NodeId, str] = field(default_factory=dict)
    away: dict[NodeId, str] = field(default_factory=dict)  # And why.
    _by_volume: dict[str, Copy] = field(default_factory=dict)
    _gone: set[str] = field(default_factory=set)  # Volumes that do not exist any more.

    def know(self, sites: Iterable[Site], names: Mapping[NodeId, str]) -> None:
        self.sites |= {site.node: site for site in sites}
        self.names |= names

    def knows(self, node: NodeId) -> bool:
        return node in self.sites

    def add(self, copy: Copy) -> bool:
        """False when it says nothing new."""
        known = self._by_volume.get(copy.volume)
        if known is not None and copy.volume not in self._gone:
            return False
        self._by_volume[copy.volume] = copy
        self._gone.discard(copy.volume)
        return True

    def has(self, copy: Copy) -> bool:
        known = self._by_volume.get(copy.volume)
        return known is not None and known.node == copy.node

    def holder_of(self, volume: str) -> str:
        node = self._by_volume[volume].node
        return self.names.get(node, node)

    def seen(self, node: NodeId, volumes: frozenset[str] | None) -> None:
        self.away.pop(node, None)
        if volumes is None:
            return
        for copy in self._by_volume.values():
            if copy.node == node and copy.volume in volumes:
                self._gone.discard(copy.volume)
            elif copy.node == node:
                self._gone.add(copy.volume)

    def lost(self, node: NodeId) -> None:
        self._by_volume = {v: c for v, c in self._by_volume.items() if c.node != node}

    @property
    def copies(self) -> tuple[Copy, ...]:
        """On volumes that exist, for all that is known."""
        return tuple(c for v, c in self._by_volume.items() if v not in self._gone)

    @property
    def nodes(self) -> frozenset[NodeId]:
        return frozenset(copy.node for copy in self.copies)

    @property
    def nodes_here(self) -> frozenset[NodeId]:
        return self.nodes - self.away.keys()

    @property
    def here(self) -> tuple[Site, ...]:
        """Where the copies stand that count for safe."""
        return self._allowed(self.nodes_here)

    def meet(self, policy: Policy) -> bool:
        return not unmet(policy, self.here, {})

    def durable_meet(self, policy: Policy) -> bool:
        """Those who are away included."""
        return not unmet(policy, self._allowed(self.nodes), {})

    def _allowed(self, nodes: Iterable[NodeId]) -> tuple[Site, ...]:
        sites = (self.sites[node] for node in sorted(nodes))
        return tuple(site for site in sites if self.policy.allows(site.domain))
