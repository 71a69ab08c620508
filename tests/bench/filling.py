"""Fills a made-up cluster chunk by chunk until its first node is full, and keeps the record."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from coordinator.electorate import Ask, World
from coordinator.placement import DEFAULTS, Elector
from coordinator.placement_settings import PlacementSettings
from coordinator.policy import Level, Policy, Site
from coordinator.tree import Edge
from coordinator.types import Domain, Member, NodeId
from tests.support.worlds import NEAR_VIRGINIA, REGIONS, domain, member, refilled, world

CHUNK_BYTES = 1 << 30
DISK_CHUNKS = 128  # Of the smallest disk.
SHARES = (1, 1, 2, 4)  # Disks differ so.
SMALL = 10  # Up to so many nodes stand in one metropolis, two zones in each cloud.
VIEWS = 2  # So often a node tells how full it is while as many chunks come as there are nodes.

Choose = Callable[[Ask, World], Sequence[NodeId]]


@dataclass(frozen=True)
class Standing:
    id: NodeId
    domain: Domain
    usable_bytes: int

    def site(self, level: Level) -> str:
        return Site(self.domain, self.id).at(level)


@dataclass(frozen=True)
class Cluster:
    members: tuple[Member, ...]

    @property
    def standing(self) -> list[Standing]:
        reserve = DEFAULTS.reserve_share
        facts = [m.facts for m in self.members if m.facts]
        return [
            Standing(
                f.node,
                f.domain,
                f.bytes_total - min(DEFAULTS.reserve_bytes_max, int(f.bytes_total * reserve)),
            )
            for f in facts
        ]


def make(nodes: int, seed: int) -> Cluster:
    rng = Random(f"{seed}/{nodes}")
    near = [domain(p, z) for p in NEAR_VIRGINIA for z in "ab"]
    wide = [domain(p, z) for z in "ab" for p in sorted(REGIONS.by_name)]
    zones = near if nodes <= SMALL else wide[: max(12, min(len(wide), nodes // 5))]
    sizes = [rng.choice(SHARES) for _ in range(nodes)]
    made = (
        member(i + 1, zones[i % len(zones)], total=share * DISK_CHUNKS * CHUNK_BYTES)
        for i, share in enumerate(sizes)
    )
    return Cluster(tuple(made))


@dataclass(frozen=True)
class Placed:
    key: str
    source: Domain
    nodes: tuple[NodeId, ...]
    tree_usd: float
    star_usd: float
    tree_crossings: int
    star_crossings: int
    remote_clouds: int


def possible_use(cluster: Cluster) -> float:
    """The most that can be used under the default rules: no zone takes two copies of a chunk,
    no cloud three. By halving the interval of chunks that fit."""
    zones: dict[str, dict[str, int]] = {}
    for one in cluster.standing:
        inside = zones.setdefault(one.domain.cloud, {})
        key = one.site(Level.ZONE)
        inside[key] = inside.get(key, 0) + one.usable_bytes // CHUNK_BYTES
    usable = sum(one.usable_bytes for one in cluster.standing) / CHUNK_BYTES
    low, high = 0, int(usable // 3)
    while low < high:
        chunks = (low + high + 1) // 2
        by_cloud = (sum(min(n, chunks) for n in inside.values()) for inside in zones.values())
        fits = sum(min(n, 2 * chunks) for n in by_cloud) >= 3 * chunks
        low, high = (chunks, high) if fits else (low, chunks - 1)
    return 3 * low / usable


@dataclass
class Filled:
    cluster: Cluster
    placed: list[Placed] = field(default_factory=list)
    warm_ms: list[float] = field(default_factory=list)
    cold_ms: list[float] = field(default_factory=list)

    @property
    def use(self) -> float:
        usable = sum(one.usable_bytes for one in self.cluster.standing)
        return sum(len(p.nodes) for p in self.placed) * CHUNK_BYTES / usable

    def used_bytes(self) -> dict[NodeId, int]:
        used = dict.fromkeys((one.id for one in self.cluster.standing), 0)
        for placed in self.placed:
            for node in placed.nodes:
                used[node] += CHUNK_BYTES
        return used

    def lost_with(self, level: Level) -> int:
        """Chunks all of whose copies are in one domain of the level; of nodes, in any two."""
        sites = {one.id: one.site(level) for one in self.cluster.standing}
        bound = 2 if level is Level.NODE else 1
        return sum(len({sites[node] for node in p.nodes}) <= bound for p in self.placed)

    @staticmethod
    def quantile_ms(samples: list[float], share: float) -> float:
        ordered = sorted(samples)
        return ordered[int(share * (len(ordered) - 1))] if ordered else 0.0


def fill(
    cluster: Cluster,
    seed: int,
    choose: Choose | None = None,
    settings: PlacementSettings = DEFAULTS,
) -> Filled:
    """By the election, or by another way to choose."""
    rng = Random(f"{seed}/sources")
    filled, elector = Filled(cluster), Elector(settings)
    domains = {one.id: one.domain for one in cluster.standing}
    room = {one.id: one.usable_bytes for one in cluster.standing}
    sent: dict[NodeId, int] = {}
    members, known = cluster.members, world(cluster.members)
    every = max(1, len(members) // VIEWS)
    while min(room.values()) >= CHUNK_BYTES:
        number = len(filled.placed)
        if number % every == 0:
            members = tuple(refilled(m, _free(m, sent)) for m in members)
            known, sent = world(members), {}
        source = rng.choice(cluster.standing)
        ask = Ask(Policy(), source.domain, f"{number}", CHUNK_BYTES, sent_bytes=sent)
        if choose is None:
            nodes, edges = _elected(elector, ask, known, filled)
        else:
            nodes, edges = choose(ask, known), ()
        if len(nodes) < ask.policy.replicas:
            break
        filled.placed.append(_placed(ask, known, nodes, edges, domains))
        for node in nodes:
            room[node] -= CHUNK_BYTES
            sent[node] = sent.get(node, 0) + CHUNK_BYTES
    return filled


def _elected(
    elector: Elector, ask: Ask, known: World, filled: Filled
) -> tuple[Sequence[NodeId], Sequence[Edge]]:
    boards = elector.boards_made
    begun_s = time.perf_counter()
    election = elector.elect(ask, known)
    took_ms = (time.perf_counter() - begun_s) * 1000
    (filled.warm_ms if elector.boards_made == boards else filled.cold_ms).append(took_ms)
    nodes = [seat.node for seat in election.targets] if election.met else []
    return nodes, election.tree


def _free(one: Member, sent: dict[NodeId, int]) -> int:
    assert one.facts
    return one.facts.bytes_free - sent.get(one.id, 0)


def _placed(
    ask: Ask,
    known: World,
    nodes: Sequence[NodeId],
    edges: Sequence[Edge],
    domains: dict[NodeId, Domain],
) -> Placed:
    here = ask.source
    clouds = [domains[node].cloud for node in nodes]
    ends = [(domains.get(e.source, here).cloud, domains[e.target].cloud) for e in edges]
    return Placed(
        key=ask.key,
        source=here,
        nodes=tuple(nodes),
        tree_usd=sum(edge.usd_per_gb for edge in edges),
        star_usd=sum(known.prices.usd_per_gb(here, domains[node]) for node in nodes),
        tree_crossings=sum(a != b for a, b in ends),
        star_crossings=sum(cloud != here.cloud for cloud in clouds),
        remote_clouds=len(set(clouds) - {here.cloud}),
    )
