"""Makes plans and says what each costs: dollars of its tree, time, fullness, recent success.

No more than a bounded number of zones is tried, taken from clouds and regions in turn. With
18 zones for up to three copies and 12 for four that never loses the last plan that meets a
rule: either there are as many clouds as copies, or every cloud brings as many zones, of as
many regions, as there are copies.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement, zip_longest
from math import exp2, inf

from coordinator.electorate import Ask, World, Zone
from coordinator.placement_settings import PlacementSettings
from coordinator.policy import Level, Site
from coordinator.rendezvous import weight
from coordinator.tree import ROOT, Distances, Tree, cheapest
from coordinator.types import Domain

Indices = tuple[int, ...]
Keys = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    zones: tuple[Zone, ...]  # A zone that takes two copies stands twice.
    tree: Tree
    seconds: float
    cost: float
    weight: float
    keys: Keys
    name: str

    @property
    def usd_per_gb(self) -> float:
        return self.tree.usd_per_gb


class PlanMaker:
    def __init__(
        self,
        ask: Ask,
        world: World,
        settings: PlacementSettings,
        held: tuple[Site, ...],
        zones: Collection[Zone],
    ) -> None:
        self.ask, self.world, self.settings, self.held = ask, world, settings, held
        self._least_fill = min((zone.fill for zone in zones), default=0.0)
        self.zones_by_cost = self._tried(zones)  # Each reached straight from the source.
        self.zones = sorted(self.zones_by_cost, key=lambda zone: zone.key)
        domains = [ask.source, *(zone.domain for zone in self.zones)]
        self._distances = Distances.between(domains, world.prices, world.rtt_ms)
        self._full = [self._fullness(zone.fill) for zone in self.zones]
        self._meeting = self._near(self._all_meeting())
        self._best_s = self._shortest_s()

    def every(self) -> Iterator[Plan]:
        """All plans that come nearest to the policy."""
        return map(self._plan, self._meeting)

    def best(self, within: float) -> Iterator[Plan]:
        """At least those that cost no more than a share above the best: as few as can be.

        Walks by what a plan costs at least, so the rest needs no look.
        """
        bound = inf
        for floor, indices in sorted(zip(self._floors(), self._meeting, strict=True)):
            if floor > bound:
                return
            plan = self._plan(indices)
            bound = min(bound, plan.cost * (1 + within))
            yield plan

    def _tried(self, zones: Iterable[Zone]) -> list[Zone]:
        """The best of every region of every cloud first, then the next best, to the bound."""
        settings = self.settings
        four = self.ask.policy.replicas > 3
        bound = settings.zones_max_four if four else settings.zones_max
        clouds: dict[str, dict[str, list[Zone]]] = {}
        for zone in sorted(zones, key=self._alone):
            regions = clouds.setdefault(zone.domain.cloud, {})
            regions.setdefault(zone.domain.place, []).append(zone)
        by_cloud = [_in_turn(regions.values()) for regions in clouds.values()]
        return sorted(_in_turn(by_cloud)[:bound], key=self._alone)

    def _alone(self, zone: Zone) -> tuple[float, float, float, str]:
        """What a copy there would cost if it came straight from the source."""
        source = self.ask.source
        usd = self.world.prices.usd_per_gb(source, zone.domain) / self.settings.usd_per_gb_unit
        ms = self.world.rtt_ms(source, zone.domain)
        return usd + self._fullness(zone.fill), ms, zone.fill, zone.key

    def _all_meeting(self) -> list[Indices]:
        wanted = max(0, self.ask.policy.replicas - len(self.held))
        count = min(wanted, sum(len(zone.seats) for zone in self.zones))
        if count == 0:
            return []
        among = range(len(self.zones))
        best, short = self._least_short(combinations(among, count))
        if (
            best
            and not any(short)
            and self.ask.policy.count(Level.ZONE) >= self.ask.policy.replicas
        ):
            return best
        # Copies may share a zone, or have to.
        shared = combinations_with_replacement(among, count)
        room = [len(zone.seats) for zone in self.zones]
        return self._least_short(c for c in shared if all(c.count(i) <= room[i] for i in c))[0]

    def _least_short(self, plans: Iterable[Indices]) -> tuple[list[Indices], tuple[int, ...]]:
        """Those that miss the fewest domains, counted from the widest level down; and how many."""
        # Every copy has a node of its own anyway.
        levels = [(at, n) for at, n in self.ask.policy.spread if at is not Level.NODE]
        rules = [(n, *self._bits(level)) for level, n in levels]
        best: list[Indices] = []
        least: tuple[int, ...] = (self.ask.policy.replicas + 1,)
        for indices in plans:
            short = []
            for wanted, bits, held in rules:
                for i in indices:
                    held |= bits[i]
                short.append(max(0, wanted - held.bit_count()))
            if (found := tuple(short)) < least:
                best, least = [], found
            if found == least:
                best.append(indices)
        return best, least

    def _bits(self, level: Level) -> tuple[list[int], int]:
        """Each zone's failure domain of a level as one bit, and those of the copies there are."""
        number: dict[str, int] = {}
        zones = [zone.seats[0].site.at(level) for zone in self.zones]
        bits = [1 << number.setdefault(key, len(number)) for key in zones]
        held = 0
        for site in self.held:
            held |= 1 << number.setdefault(site.at(level), len(number))
        return bits, held

    def _near(self, plans: list[Indices]) -> list[Indices]:
        """Those of which a copy is as near to the wished region as any could bring it."""
        wished = self.ask.policy.near
        if not wished or not plans:
            return plans
        cloud, _, region = wished.partition("/")
        there = Domain(cloud, region)
        ms = [
            0.0 if z.domain.place == wished else self.world.rtt_ms(there, z.domain)
            for z in self.zones
        ]
        bound = min(min(ms[i] for i in plan) for plan in plans) + self.settings.near_ms
        return [plan for plan in plans if min(ms[i] for i in plan) <= bound]

    def _floors(self) -> Iterator[float]:
        """What each plan costs at least: every copy by its own cheapest and fastest edge."""
        settings, usd, ms = self.settings, self._distances.usd, self._distances.ms
        for indices in self._meeting:
            dollars = longest_ms = 0.0
            for i in indices:
                to = i + 1
                here_usd, here_ms = usd[ROOT][to], ms[ROOT][to]
                for j in indices:
                    if j != i or indices.count(i) > 1:
                        here_usd = min(here_usd, usd[j + 1][to])
                        here_ms = min(here_ms, ms[j + 1][to])
                dollars += here_usd
                longest_ms = max(longest_ms, here_ms)
            seconds = self._seconds(longest_ms, longest_ms)
            yield (
                dollars / settings.usd_per_gb_unit
                + settings.time_weight * seconds / self._best_s
                + sum(self._full[i] for i in indices)
                - 1e-6  # Sums of floats in another order.
            )

    def _plan(self, indices: Indices) -> Plan:
        settings = self.settings
        tree = cheapest(self._distances, [i + 1 for i in indices])
        zones = tuple(self.zones[i] for i in indices)
        seconds = self._seconds(tree.ms, tree.edge_ms_max)
        cost = (
            tree.usd_per_gb / settings.usd_per_gb_unit
            + settings.time_weight * seconds / self._best_s
            + sum(self._full[i] for i in indices)
            + settings.failure_weight * (1.0 - self._success(zones, tree))
        )
        room = min(zone.room_bytes for zone in zones)
        keys = tuple(zone.key for zone in zones)
        return Plan(zones, tree, seconds, cost, weight(room), keys, "|".join(keys))

    def _shortest_s(self) -> float:
        """How long it takes to the nearest zones, the yardstick of time."""
        direct_ms = sorted(self._distances.ms[ROOT][1:])
        copies = len(self._meeting[0]) if self._meeting else 1
        ms = direct_ms[min(copies, len(direct_ms)) - 1] if direct_ms else 0.0
        return self._seconds(ms, ms)

    def _seconds(self, path_ms: float, edge_ms: float) -> float:
        """Frames are passed on while they come: the slowest edge sets the pace."""
        window_s = edge_ms / 1000 / self.settings.window_bytes
        return path_ms / 1000 + self.ask.size_class_bytes * max(
            1 / self.settings.node_bytes_per_s, window_s
        )

    def _fullness(self, fill: float) -> float:
        """The price of room: it doubles with every step of fullness, so that differences count
        little while there is room for all, and more than any dollars when there is not.
        """
        settings = self.settings
        steps = settings.full_doublings
        above = exp2(steps * fill) - exp2(steps * self._least_fill)
        return settings.full_weight * above / exp2(steps)

    def _success(self, zones: Sequence[Zone], tree: Tree) -> float:
        if not self.world.success:
            return 1.0
        places = [self.ask.source.place, *(zone.domain.place for zone in zones)]
        edges = ((places[p], places[i + 1]) for i, p in enumerate(tree.parents))
        return min((self.world.success.get(edge, 1.0) for edge in edges), default=1.0)


def _in_turn(lists: Iterable[list[Zone]]) -> list[Zone]:
    """The first of each, then the second of each, and so on."""
    return [zone for row in zip_longest(*lists) for zone in row if zone is not None]
