"""The small words that decisions are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

NodeId = str  # 16 hex digits, the <id> of spiffe://<cluster>/node/<id>.


@dataclass(frozen=True, slots=True, order=True)
class Domain:
    """Where a node stands. Without a zone a node is a failure domain of its own."""

    cloud: str
    region: str
    zone: str = ""

    @property
    def place(self) -> str:
        """cloud/region: what round-trip times and prices go by."""
        return f"{self.cloud}/{self.region}"

    def __str__(self) -> str:
        return "/".join(part for part in (self.cloud, self.region, self.zone) if part)


class Status(IntEnum):
    """What everybody agrees on. Of two records of one (generation, incarnation) the higher wins."""

    ALIVE = 1
    DOWN = 2  # Its process is gone: the stream broke and redialling was refused, seen by two.
    DEAD = 3  # A quorum of its observers has not heard it.
    LEFT = 4  # It said goodbye.
    REMOVED = 5  # An admin said so; for ever, whatever its generation.


@dataclass(frozen=True, slots=True)
class Record:
    """One node's membership. Totally ordered, so merging needs no coordination: see `newer`."""

    node: NodeId
    generation: int  # +1 at every start, fsynced by the node.
    incarnation: int = 0  # Raised by the node alone, to refute.
    status: Status = Status.ALIVE

    @property
    def rank(self) -> tuple[bool, int, int, int]:
        removed = self.status is Status.REMOVED
        return removed, self.generation, self.incarnation, self.status

    def newer(self, other: "Record | None") -> bool:
        return other is None or self.rank > other.rank


@dataclass(frozen=True, slots=True)
class Facts:
    """What a node says of itself. Only it changes them; (generation, version) orders two."""

    node: NodeId
    generation: int
    version: int
    name: str
    domain: Domain
    draining: bool = False
    bytes_total: int = 0
    bytes_free: int = 0
    bytes_in_flight: int = 0
    service_ms: float = 0.0  # How long work waits there, apart from distance.
    # Measured round trips from this node's region: place to milliseconds.
    rtts_ms: Mapping[str, float] = field(default_factory=dict)
    coordinate: "Coordinate | None" = None
    more: bytes = b""  # The body's own: addresses, version, volumes. The brain does not look.
    bucket: str = ""  # "s3://name/prefix": it is no node, but a bucket; see `places`.

    @property
    def age(self) -> tuple[int, int]:
        return self.generation, self.version


@dataclass(frozen=True, slots=True)
class Coordinate:
    """A place in Vivaldi's space. The height is what every path to the node has in common."""

    position: tuple[float, ...]
    height_ms: float
    error: float
    adjustment_ms: float = 0.0


class Knowing(IntEnum):
    """What one node thinks of another now: what everybody agrees on, and its own doubts."""

    ALIVE = 1
    SUSPECT = 2  # Silent for about a second: not chosen, not condemned.
    UNREACHABLE = 3  # Silent for long, and too few are left to judge.
    DOWN = 4
    DEAD = 5
    LEFT = 6
    REMOVED = 7


@dataclass(frozen=True, slots=True)
class Member:
    """One node as this one knows it; a part of the immutable view."""

    record: Record
    knowing: Knowing
    facts: Facts | None
    silent_s: float  # Since this node heard it, where it watches it; else 0.

    @property
    def id(self) -> NodeId:
        return self.record.node


@dataclass(frozen=True, slots=True)
class View:
    """What the rest of the system may read at any time. Never changed, only replaced."""

    own: NodeId
    members: Mapping[NodeId, Member]
    frozen: bool = False  # Much was lost at once: nothing is copied for a while.
    neighbours: frozenset[NodeId] = frozenset()  # Whom this node watches and who watches it.
