"""What an election is asked and what it knows, who may be chosen, and why somebody may not."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from coordinator.placement_settings import PlacementSettings
from coordinator.policy import Level, Policy, Site
from coordinator.prices import Prices
from coordinator.tree import RttMs
from coordinator.types import Domain, Facts, Knowing, Member, NodeId, View

_WHY_NOT = {
    Knowing.UNREACHABLE: "unreachable: silent, and too few are left to judge",
    Knowing.DOWN: "down: its process is gone",
    Knowing.DEAD: "dead: most of its observers do not hear it",
    Knowing.LEFT: "it has left",
    Knowing.REMOVED: "it was removed",
}


@dataclass(frozen=True, slots=True)
class World:
    """What is known now. The body replaces it; an election only reads it."""

    view: View
    prices: Prices
    rtt_ms: RttMs
    # What else speaks against a node, in plain words: an open breaker, a version too old.
    unfit: Mapping[NodeId, str] = field(default_factory=dict)
    # Share of recent transfers that succeeded, by (from, to) as "cloud/region"; else all did.
    success: Mapping[tuple[str, str], float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ask:
    """One question: where do the copies of this chunk go?"""

    policy: Policy
    source: Domain
    key: str  # The task's id: a chunk's own is known only once it is sealed.
    size_bytes: int
    source_node: NodeId = ""
    holders: tuple[NodeId, ...] = ()  # Copies that are there already: only the others are elected.
    # What the asker has sent to nodes since they last told how full they are.
    sent_bytes: Mapping[NodeId, int] = field(default_factory=dict)

    @property
    def size_class_bytes(self) -> int:
        """The next power of two: elections of like sizes share their plans."""
        return 1 << max(0, self.size_bytes - 1).bit_length()


@dataclass(frozen=True, slots=True)
class Seat:
    """A node that may be chosen."""

    site: Site
    name: str
    room_bytes: int  # Free, less the reserve and what is on its way there.
    usable_bytes: int  # All of it, less the reserve.
    wait_ms: float

    @property
    def node(self) -> NodeId:
        return self.site.node

    def fill(self, sent_bytes: int = 0) -> float:
        return 1.0 - (self.room_bytes - sent_bytes) / self.usable_bytes

    def load(self, sent_bytes: int, settings: PlacementSettings) -> float:
        """How full it is and how long work waits there, as one figure."""
        return self.fill(sent_bytes) + self.wait_ms / settings.wait_full_ms


@dataclass(frozen=True, slots=True)
class Zone:
    """Nodes that fail together; one node that names no zone is one by itself."""

    key: str
    domain: Domain
    seats: tuple[Seat, ...]

    @property
    def label(self) -> str:
        return str(self.domain) if self.domain.zone else f"{self.domain} ({self.seats[0].name})"

    @property
    def room_bytes(self) -> int:
        return sum(seat.room_bytes for seat in self.seats)

    @property
    def fill(self) -> float:
        return 1.0 - self.room_bytes / sum(seat.usable_bytes for seat in self.seats)


@dataclass(frozen=True, slots=True)
class Barred:
    """A node that may not be chosen, and why."""

    node: NodeId
    name: str
    domain: Domain | None
    why: str


def judged(
    ask: Ask, world: World, settings: PlacementSettings
) -> tuple[tuple[Seat, ...], tuple[Barred, ...]]:
    """Every member: it may be chosen, or why not. In the order of their ids."""
    seats: list[Seat] = []
    barred: list[Barred] = []
    size_bytes = ask.size_class_bytes
    for node in sorted(world.view.members):
        member = world.view.members[node]
        facts = member.facts
        if facts is not None and facts.bucket and not ask.policy.bucket:
            continue
        if facts is None:
            why = next(_of_membership(member), "it has not said yet where it stands")
            barred.append(Barred(node, node, None, why))
            continue
        seat = _seat(facts, settings)
        objections = chain(
            _of_membership(member),
            _of_policy(facts, ask, world),
            _of_room(facts, seat, size_bytes, settings),
        )
        why = next(objections, "")
        if why:
            barred.append(Barred(node, facts.name, facts.domain, why))
        else:
            seats.append(seat)
    return tuple(seats), tuple(barred)


def zones_of(seats: Sequence[Seat]) -> dict[str, Zone]:
    found: dict[str, list[Seat]] = {}
    for seat in seats:
        found.setdefault(seat.site.at(Level.ZONE), []).append(seat)
    return {key: Zone(key, some[0].site.domain, tuple(some)) for key, some in found.items()}


def reserve_bytes(facts: Facts, settings: PlacementSettings) -> int:
    return min(settings.reserve_bytes_max, int(facts.bytes_total * settings.reserve_share))


def _seat(facts: Facts, settings: PlacementSettings) -> Seat:
    reserve = reserve_bytes(facts, settings)
    return Seat(
        site=Site(facts.domain, facts.node, facts.bucket),
        name=facts.name,
        room_bytes=facts.bytes_free - facts.bytes_in_flight - reserve,
        usable_bytes=max(1, facts.bytes_total - reserve),
        wait_ms=facts.service_ms,
    )


def _of_membership(member: Member) -> Iterator[str]:
    if member.knowing is Knowing.SUSPECT:
        yield f"suspected: silent for {member.silent_s:.1f} s"
    elif member.knowing is not Knowing.ALIVE:
        yield _WHY_NOT[member.knowing]


def _of_policy(facts: Facts, ask: Ask, world: World) -> Iterator[str]:
    if facts.draining:
        yield "draining"
    if facts.node in ask.holders:
        yield "it holds a copy already"
    if facts.node in world.unfit:
        yield world.unfit[facts.node]
    if facts.bucket and not ask.policy.takes(Site(facts.domain, facts.node, facts.bucket)):
        yield f"a copy in {ask.policy.bucket} is wanted"
    if not ask.policy.allows(facts.domain):
        yield f"{facts.domain.place} is none of the allowed regions"


def _of_room(
    facts: Facts, seat: Seat, size_bytes: int, settings: PlacementSettings
) -> Iterator[str]:
    if facts.bytes_total <= 0:
        yield "it has no disk for chunks"
    if seat.room_bytes < size_bytes:
        yield (
            f"no room: {_human(facts.bytes_free)} of {_human(facts.bytes_total)} are free, "
            f"{_human(facts.bytes_in_flight)} on their way, "
            f"{_human(reserve_bytes(facts, settings))} in reserve"
        )


def _human(size_bytes: int) -> str:
    size, unit = float(size_bytes), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{size:.4g} {unit}"
