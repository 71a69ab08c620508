"""Made-up clusters for placement: members in real regions, list prices, typical times."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product

from coordinator.electorate import Ask, World
from coordinator.policy import Policy
from coordinator.types import Domain, Facts, Knowing, Member, NodeId, Record, View
from multicloud import regions
from nodeagent.rpc.admin.market import prices_of

TB = 10**12
REGIONS = regions.load()
NEAR_VIRGINIA = ("aws/us-east-1", "gcp/us-east4", "azure/eastus")


def domain(place: str, zone: str = "a") -> Domain:
    cloud, _, region = place.partition("/")
    return Domain(cloud, region, zone)


def member(
    number: int,
    where: Domain,
    *,
    total: int = TB,
    free: int | None = None,
    knowing: Knowing = Knowing.ALIVE,
    draining: bool = False,
) -> Member:
    node = f"{number:016x}"
    facts = Facts(
        node=node,
        generation=1,
        version=1,
        name=f"n{number}",
        domain=where,
        draining=draining,
        bytes_total=total,
        bytes_free=total if free is None else free,
    )
    return Member(Record(node, 1), knowing, facts, 0.0)


def spread_out(places: Sequence[str], zones: Sequence[str], each: int = 1) -> list[Member]:
    """`each` nodes in every zone of every place."""
    wheres = [domain(p, z) for p, z in product(places, zones) for _ in range(each)]
    return [member(i + 1, where) for i, where in enumerate(wheres)]


def view(members: Iterable[Member]) -> View:
    known = {m.id: m for m in members}
    return View(own=next(iter(known), ""), members=known)


def world(members: Iterable[Member], unfit: Mapping[NodeId, str] | None = None) -> World:
    seen = view(members)
    domains = [m.facts.domain for m in seen.members.values() if m.facts]
    return World(seen, prices_of(REGIONS, domains), REGIONS.rtt_ms, unfit or {})


def refilled(one: Member, free: int) -> Member:
    assert one.facts
    return replace(one, facts=replace(one.facts, bytes_free=free))


def ask(source: Domain, key: str = "task-1", policy: Policy | None = None) -> Ask:
    return Ask(policy or Policy(), source, key, 64 * 2**20)
