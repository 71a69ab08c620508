"""Plans: sets of zones that meet the policy, what each costs, and which stay in the draw."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from coordinator.electorate import Ask, Barred, Seat, World, judged, zones_of
from coordinator.placement_settings import PlacementSettings
from coordinator.plan_maker import Keys, Plan, PlanMaker
from coordinator.policy import Site
from coordinator.types import NodeId

NO_PLANS: frozenset[Keys] = frozenset()


@dataclass(frozen=True)
class Board:
    """All that elections share which differ only by their key."""

    seats: tuple[Seat, ...]
    barred: tuple[Barred, ...]
    held: tuple[Site, ...]  # Where copies are already.
    kept: tuple[Plan, ...]  # The cheapest first.
    maker: PlanMaker

    @property
    def kept_keys(self) -> frozenset[Keys]:
        return frozenset(plan.keys for plan in self.kept)

    @cached_property
    def buckets(self) -> tuple[Seat, ...]:
        """Those that may take the copy that is wanted in one, the cheapest to reach first."""
        wants = not any(self.maker.ask.policy.takes(site) for site in self.held)
        seats = [seat for seat in self.seats if seat.site.bucket and wants]
        ask, world = self.maker.ask, self.maker.world

        def far(seat: Seat) -> tuple[float, float, NodeId]:
            domain = seat.site.domain
            usd, ms = world.prices.usd_per_gb(ask.source, domain), world.rtt_ms(ask.source, domain)
            return usd, ms, seat.node

        return tuple(sorted(seats, key=far))

    @property
    def tried(self) -> tuple[str, ...]:
        """Keys of the zones that plans were made of."""
        return tuple(zone.key for zone in self.maker.zones)

    @cached_property
    def plans(self) -> tuple[Plan, ...]:
        """Every plan, the cheapest first: to explain, and when all that were kept fail."""
        return tuple(sorted(self.maker.every(), key=_order))

    @property
    def names(self) -> dict[NodeId, str]:
        known = {seat.node: seat.name for seat in self.seats}
        return known | {barred.node: barred.name for barred in self.barred}


def board(
    ask: Ask, world: World, settings: PlacementSettings, earlier: frozenset[Keys] = NO_PLANS
) -> Board:
    """`earlier` are the plans kept the last time: they leave later than others enter."""
    seats, barred = judged(ask, world, settings)
    members = world.view.members
    held = tuple(
        Site(facts.domain, facts.node, facts.bucket)
        for node in ask.holders
        if node in members and (facts := members[node].facts)
    )
    zones = zones_of([seat for seat in seats if not seat.site.bucket]).values()
    maker = PlanMaker(ask, world, settings, tuple(s for s in held if not s.bucket), zones)
    within = settings.leave_share if earlier else settings.keep_share
    kept = _kept(sorted(maker.best(within), key=_order), settings, earlier)
    return Board(seats, barred, held, kept, maker)


def _order(plan: Plan) -> tuple[float, Keys]:
    return plan.cost, plan.keys


def _kept(
    plans: Sequence[Plan], settings: PlacementSettings, earlier: frozenset[Keys]
) -> tuple[Plan, ...]:
    if not plans:
        return ()
    enters = plans[0].cost * (1 + settings.keep_share)
    leaves = plans[0].cost * (1 + settings.leave_share)
    return tuple(
        plan for plan in plans if plan.cost <= (leaves if plan.keys in earlier else enters)
    )
