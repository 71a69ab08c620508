"""Elections of this node for what it delivers, by what it knows of the members now."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from coordinator.electorate import Ask, World
from coordinator.placement import Election, elect
from coordinator.policy import PolicyImpossible
from coordinator.prices import Prices
from coordinator.rtt_table import RttTable
from coordinator.types import Domain, NodeId, View
from multicloud.regions import Regions
from nodeagent.core.delivery_tree import Cost
from nodeagent.rpc.admin.market import prices_of
from nodeagent.rpc.policies import refused as impossible_to_meet
from nodeagent.wire.bucket_places import with_buckets


class Knowledge(Protocol):
    """Each a value that changes no more."""

    def view(self) -> View: ...
    def rtts(self) -> RttTable: ...


@dataclass(slots=True)
class Electing:
    """May be asked from any thread."""

    knowledge: Knowledge
    regions: Regions
    _seen: tuple[View, View] | None = None
    _priced: tuple[frozenset[Domain], Prices] | None = None

    def view(self) -> View:
        """Buckets stand among the members."""
        view = self.knowledge.view()
        if self._seen is None or self._seen[0] is not view:
            self._seen = view, with_buckets(view)
        return self._seen[1]

    def elect(self, ask: Ask, unfit: Mapping[NodeId, str]) -> Election:
        """POLICY_IMPOSSIBLE when the members can never meet the policy."""
        view = self.view()
        world = World(view, self._prices(view), self.knowledge.rtts().ms, unfit)
        try:
            return elect(ask, world)
        except PolicyImpossible as impossible:
            raise impossible_to_meet(ask.policy, impossible) from impossible

    def cost(self, a: Domain, b: Domain) -> Cost:
        prices = self._prices(self.view())
        return Cost(prices.usd_per_gb(a, b), self.knowledge.rtts().ms(a, b))

    def _prices(self, view: View) -> Prices:
        domains = frozenset(m.facts.domain for m in view.members.values() if m.facts)
        if self._priced is None or self._priced[0] != domains:
            self._priced = domains, prices_of(self.regions, domains)
        return self._priced[1]
