"""The election of placement targets: from a view, a policy and a key to nodes, and why.

Domain-first weighted rendezvous with two choices at both levels. Of the plans that cost
hardly more than the best, the two that rank highest for the key; of these the less loaded;
in each of its zones the same among nodes. The transfer tree over them is the cheapest there is.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import nlargest
from itertools import chain, islice

from coordinator.electorate import Ask, Seat, World, Zone
from coordinator.placement_settings import PlacementSettings
from coordinator.places import is_bucket
from coordinator.plan_maker import Keys, Plan
from coordinator.plans import NO_PLANS, Board, board
from coordinator.policy import Site, demand_possible, shortfall, unmet
from coordinator.prices import GB
from coordinator.rendezvous import score, weight
from coordinator.survival import Survival, survival
from coordinator.tree import ROOT, Distances, Edge, Tree, cheapest
from coordinator.types import NodeId, View

SPARES_MAX = 6
DEFAULTS = PlacementSettings()


@dataclass(frozen=True)
class Election:
    ask: Ask
    board: Board
    plan: Plan | None  # None: nobody may be chosen, or nothing is missing.
    targets: tuple[Seat, ...]
    spares: tuple[Seat, ...]  # In the order to be asked when a target is busy; see `instead`.
    tree: tuple[Edge, ...]  # By node ids; the source is "" when it is no node. To nodes only:
    fed: tuple[Edge, ...]  # a bucket is fed by whoever has the chunk first.
    why: str  # What is not met now, in plain words; "" when the policy is met.

    @property
    def met(self) -> bool:
        return not self.why

    @property
    def sites(self) -> tuple[Site, ...]:
        """Of all copies, those included that are there already."""
        return *self.board.held, *(seat.site for seat in self.targets)

    @cached_property
    def survives(self) -> Survival:
        return survival(self.sites)

    @property
    def usd_per_gb(self) -> float:
        return sum(edge.usd_per_gb for edge in (*self.tree, *self.fed))

    @property
    def usd(self) -> float:
        return self.usd_per_gb * self.ask.size_bytes / GB

    def instead(
        self,
        busy: NodeId,
        refused: Collection[NodeId] = (),
        sites: Collection[Site] | None = None,
    ) -> Seat | None:
        """The next node to ask in place of a target, so that the rules hold as before.

        `sites`, that of `busy` among them: where copies are or come, if by now not as elected.
        """
        placed = self.sites if sites is None else sites
        others = [site for site in placed if site.node != busy]
        bucket = is_bucket(busy)
        bar = shortfall(self.ask.policy, placed)
        like = (spare for spare in self.spares if bool(spare.site.bucket) is bucket)
        free = (spare for spare in like if spare.node not in refused)
        return next((s for s in free if _holds(self.ask, [*others, s.site], bar)), None)


class Elector:
    """Elects, and remembers the plans of one world: only the draw is made for every key."""

    def __init__(self, settings: PlacementSettings = DEFAULTS) -> None:
        self.settings = settings
        self.boards_made = 0
        self._boards: OrderedDict[object, tuple[World, Board]] = OrderedDict()

    def elect(self, ask: Ask, world: World) -> Election:
        """Raises PolicyImpossible when the members can never meet the policy."""
        key = (ask.source, ask.policy, ask.size_class_bytes, ask.holders)
        known = self._boards.pop(key, None)
        if known is not None and _same(known[0], world):
            found = known[1]
        else:
            demand_possible(ask.policy, world.view)
            earlier = known[1].kept_keys if known is not None else NO_PLANS
            found = board(ask, world, self.settings, earlier)
            self.boards_made += 1
        if not ask.holders:  # Repairs seldom ask the same twice.
            self._boards[key] = world, found
        while len(self._boards) > self.settings.remembered_max:
            self._boards.popitem(last=False)
        return _Draw(ask, world, self.settings, found).election()


def elect(
    ask: Ask,
    world: World,
    settings: PlacementSettings = DEFAULTS,
    earlier: frozenset[Keys] = NO_PLANS,
) -> Election:
    """One election from nothing. `earlier`: `election.board.kept_keys` of the last one."""
    demand_possible(ask.policy, world.view)
    return _Draw(ask, world, settings, board(ask, world, settings, earlier)).election()


def _same(a: World, b: World) -> bool:
    if a is b:
        return True
    same = a.prices == b.prices and a.rtt_ms == b.rtt_ms and a.unfit == b.unfit
    return same and a.success == b.success and _no_news(a.view, b.view)


def _no_news(a: View, b: View) -> bool:
    """Views are made several times a second; most say nothing that an election asks for."""
    if a is b:
        return True
    if a.members.keys() != b.members.keys():
        return False
    pairs = ((member, b.members[node]) for node, member in a.members.items())
    return all(m.knowing is n.knowing and m.facts is n.facts for m, n in pairs)


def _holds(ask: Ask, sites: Sequence[Site], bar: tuple[int, ...]) -> bool:
    return shortfall(ask.policy, sites) <= bar


@dataclass(frozen=True, slots=True)
class _Draw:
    ask: Ask
    world: World
    settings: PlacementSettings
    board: Board

    def election(self) -> Election:
        plan, nodes = self._chosen()
        buckets = self._buckets()
        targets = (*nodes, *buckets[:1])
        sites = [*self.board.held, *(seat.site for seat in targets)]
        why = unmet(self.ask.policy, sites, self.board.names)
        spares = (*(self._spares(plan, nodes) if plan else ()), *buckets[1:])
        tree, fed = self._tree(nodes), tuple(self._fed(nodes, buckets[:1]))
        return Election(self.ask, self.board, plan, targets, spares, tree, fed, why)

    def _buckets(self) -> tuple[Seat, ...]:
        sent = self.ask.sent_bytes
        size = self.ask.size_bytes
        return tuple(s for s in self.board.buckets if s.room_bytes - sent.get(s.node, 0) >= size)

    def _fed(self, nodes: Sequence[Seat], buckets: Sequence[Seat]) -> Iterator[Edge]:
        """From the cheapest copy: one that is there, or comes to a node."""
        sites = [*self.board.held, *(seat.site for seat in nodes)]
        for bucket in buckets:
            ways = [(site.node, site.domain) for site in sites]
            to = bucket.site.domain
            prices, rtt_ms = self.world.prices, self.world.rtt_ms
            node, domain = min(
                ways or [(self.ask.source_node, self.ask.source)],
                key=lambda way: (prices.usd_per_gb(way[1], to), rtt_ms(way[1], to), way[0]),
            )
            yield Edge(node, bucket.node, prices.usd_per_gb(domain, to), rtt_ms(domain, to))

    def _chosen(self) -> tuple[Plan | None, tuple[Seat, ...]]:
        for plan in self._in_order():
            targets = self._seats(plan)
            if targets:
                return plan, targets
        return None, ()

    def _in_order(self) -> Iterator[Plan]:
        """The less loaded of the first two, the other, then by rank, then by cost."""
        two = nlargest(2, self.board.kept, key=self._rank)
        yield from sorted(two, key=self._plan_load)
        yield from sorted(self.board.kept, key=self._rank, reverse=True)
        yield from self.board.plans

    def _rank(self, plan: Plan) -> tuple[float, Keys]:
        return score(self.ask.key, plan.name, plan.weight), plan.keys

    def _plan_load(self, plan: Plan) -> float:
        return sum(min(self._load(seat) for seat in zone.seats) for zone in plan.zones)

    def _load(self, seat: Seat) -> float:
        return seat.load(self.ask.sent_bytes.get(seat.node, 0), self.settings)

    def _seats(self, plan: Plan) -> tuple[Seat, ...]:
        """A node for each zone of the plan; none when what was sent there filled one."""
        chosen: list[Seat] = []
        for zone in plan.zones:
            free = [seat for seat in self._ranked(zone) if seat not in chosen]
            if not free:
                return ()
            chosen.append(min(free[:2], key=self._load))
        return tuple(chosen)

    def _ranked(self, zone: Zone) -> list[Seat]:
        sent = self.ask.sent_bytes
        room = [s for s in zone.seats if s.room_bytes - sent.get(s.node, 0) >= self.ask.size_bytes]
        if len(room) < 2:
            return room
        return sorted(room, key=self._seat_rank, reverse=True)

    def _seat_rank(self, seat: Seat) -> tuple[float, NodeId]:
        return score(self.ask.key, seat.node, weight(seat.room_bytes)), seat.node

    def _spares(self, plan: Plan, targets: tuple[Seat, ...]) -> Iterator[Seat]:
        """The next in line. Which of them fits whose place is for `instead` to say."""
        elected = {seat.node for seat in targets}
        others = (seat for seat in self._others(plan) if seat.node not in elected)
        return islice(others, SPARES_MAX)

    def _others(self, plan: Plan) -> Iterator[Seat]:
        """From the zones of the plan, of the others in the draw, and then of the cheapest zones."""
        kept = sorted(self.board.kept, key=self._rank, reverse=True)
        drawn = (zone for other in (plan, *kept) for zone in other.zones)
        every = {zone.key: zone for zone in chain(drawn, self.board.maker.zones_by_cost)}
        for zone in every.values():
            yield from self._ranked(zone)

    def _tree(self, targets: tuple[Seat, ...]) -> tuple[Edge, ...]:
        """From the source to all targets; a source that is elected keeps its own copy."""
        fed = [seat for seat in targets if seat.node != self.ask.source_node]
        domains = [self.ask.source, *(seat.site.domain for seat in fed)]
        distances = Distances.between(domains, self.world.prices, self.world.rtt_ms)
        found = cheapest(distances, range(1, len(domains)))
        names = [self.ask.source_node, *(seat.node for seat in fed)]
        return tuple(_edges(found, distances, names))


def _edges(tree: Tree, distances: Distances, names: Sequence[NodeId]) -> Iterator[Edge]:
    """Each after the one that feeds its source."""
    waiting = [ROOT]
    while waiting:
        at = waiting.pop(0)
        for i, parent in enumerate(tree.parents):
            if parent == at:
                usd, ms = distances.usd[at][i + 1], distances.ms[at][i + 1]
                yield Edge(names[at], names[i + 1], usd, ms)
                waiting.append(i + 1)
