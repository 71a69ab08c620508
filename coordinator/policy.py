"""Where the copies of a chunk must be: how many, how far apart, and in which regions.

Levels are nested (a cloud has regions, a region zones, a zone nodes), so rules that can
be met one by one can be met together.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from coordinator.types import Domain, Knowing, NodeId, View

REPLICAS_DEFAULT, REPLICAS_MAX = 3, 4  # Every tree over the source and four targets is tried.
CLOUDS_DEFAULT = 2
ANY_BUCKET = "any"


class Level(IntEnum):
    """What fails together, from the smallest to the largest."""

    NODE = 1
    ZONE = 2
    REGION = 3
    CLOUD = 4

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True, order=True)
class Site:
    """Where one copy stands or could stand."""

    domain: Domain
    node: NodeId
    bucket: str = ""  # What it is, when it is a bucket and no node.

    def at(self, level: Level) -> str:
        """The failure domain of that level. Without a zone a node is a zone of its own."""
        if level is Level.CLOUD:
            return self.domain.cloud
        if level is Level.REGION:
            return self.domain.place
        if level is Level.ZONE and self.domain.zone:
            return str(self.domain)
        return self.node


@dataclass(frozen=True, slots=True)
class Policy:
    """`spread` asks for at least so many different domains of a level; see `spread_of`."""

    replicas: int = REPLICAS_DEFAULT
    spread: tuple[tuple[Level, int], ...] = ((Level.CLOUD, CLOUDS_DEFAULT), (Level.ZONE, 3))
    allow: tuple[str, ...] = ()  # "aws/eu-west-1", "gcp/*"; none: everywhere.
    near: str = ""  # "aws/us-east-1": one copy as near to it as can be.
    bucket: str = ""  # One copy more in that bucket, or in any ("any"), beside those on nodes.

    def allows(self, domain: Domain) -> bool:
        return not self.allow or any(a in (domain.place, f"{domain.cloud}/*") for a in self.allow)

    def takes(self, site: Site) -> bool:
        """The copy that is wanted in a bucket may be there."""
        return bool(site.bucket) and self.bucket in (ANY_BUCKET, site.bucket)

    def count(self, level: Level) -> int:
        """How many different domains of a level are asked for, by rules of it or of a wider one."""
        return max((n for at, n in self.spread if at >= level), default=1)


def spread_of(replicas: int, asked: Mapping[Level, int]) -> tuple[tuple[Level, int], ...]:
    """The rules in force: what is asked for goes before the default of its level.

    The default is a zone for every copy, in two clouds. A rule for nodes says on purpose
    that copies may share a zone, so it comes without defaults.
    """
    default = {Level.ZONE: replicas, Level.CLOUD: min(CLOUDS_DEFAULT, replicas)}
    rules = dict(asked) if Level.NODE in asked else default | dict(asked)
    return tuple(sorted(rules.items(), reverse=True))


def shortfall(policy: Policy, sites: Iterable[Site]) -> tuple[int, ...]:
    """How many domains are missing for each rule, the widest level first, and last the bucket. All
    0: it is met.
    """
    placed = tuple(sites)
    nodes = [site for site in placed if not site.bucket]
    rules = tuple(max(0, n - len({s.at(at) for s in nodes})) for at, n in policy.spread)
    return *rules, int(_lacks_bucket(policy, placed))


def _lacks_bucket(policy: Policy, sites: Iterable[Site]) -> bool:
    return bool(policy.bucket) and not any(policy.takes(site) for site in sites)


@dataclass(frozen=True, slots=True)
class MissingBucket:
    """No bucket that was asked for."""

    wanted: str
    flag = ""
    there = ()

    def __str__(self) -> str:
        which = "a bucket" if self.wanted == ANY_BUCKET else self.wanted
        return f"a copy in {which} is wanted and there is none"


@dataclass(frozen=True, slots=True)
class Missing:
    """A rule that cannot be met, and the flag of `mcctl` that lowers it to what can be."""

    level: Level
    wanted: int
    there: tuple[str, ...]

    @property
    def flag(self) -> str:
        found = len(self.there)
        if self.level is Level.NODE:
            return f"--replicas {found}"
        return f"--spread {self.level.word}={found}"

    def __str__(self) -> str:
        have = f"{len(self.there)} ({', '.join(self.there)})" if self.there else "none"
        word = self.level.word
        return f"{self.wanted} {word}s are wanted and there {_are(len(self.there))} {have}"


class PolicyImpossible(Exception):
    """The members, those that are dead now included, can never meet the policy."""

    def __init__(self, missing: tuple[Missing | MissingBucket, ...]) -> None:
        self.missing = missing
        super().__init__("; ".join(map(str, missing)))

    @property
    def flags(self) -> tuple[str, ...]:
        return tuple(m.flag for m in self.missing if m.there)


def demand_possible(policy: Policy, view: View) -> None:
    """Raises PolicyImpossible unless the cluster could meet the policy with everyone back."""
    sites = [site for site in _could_come_back(view) if policy.allows(site.domain)]
    names = {member.id: _name(member.facts) for member in view.members.values() if member.facts}
    missing = tuple(_missing(policy, sites, names))
    if missing:
        raise PolicyImpossible(missing)


def unmet(policy: Policy, sites: Iterable[Site], names: Mapping[NodeId, str]) -> str:
    """In plain words what those sites lack of the policy; "" when they meet it."""
    return "; ".join(map(str, _missing(policy, tuple(sites), names)))


def _missing(
    policy: Policy, sites: Iterable[Site], names: Mapping[NodeId, str]
) -> Iterator[Missing | MissingBucket]:
    every = tuple(sites)
    placed = [site for site in every if not site.bucket]
    rules = dict(policy.spread)
    rules[Level.NODE] = max(policy.replicas, rules.get(Level.NODE, 0))
    for level, wanted in sorted(rules.items(), reverse=True):
        there = {site.at(level) for site in placed}
        if len(there) < wanted:
            yield Missing(level, wanted, tuple(sorted(names.get(d, d) for d in there)))
    if _lacks_bucket(policy, every):
        yield MissingBucket(policy.bucket)


def _could_come_back(view: View) -> Iterator[Site]:
    for member in view.members.values():
        if member.knowing is not Knowing.REMOVED and member.facts is not None:
            yield Site(member.facts.domain, member.id, member.facts.bucket)


def _name(facts: object) -> str:
    return str(getattr(facts, "name", ""))


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
