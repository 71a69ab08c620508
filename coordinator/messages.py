"""What brains say to each other. The wire's form is the driver's business."""

from dataclasses import dataclass

from coordinator.types import Coordinate, Facts, NodeId, Record


@dataclass(frozen=True, slots=True)
class Probe:
    """An observer asks: are you there?"""

    sequence: int
    sent_s: float  # The sender's clock; comes back unread.
    suspects: bool = False  # The observer doubts the one it asks.


@dataclass(frozen=True, slots=True)
class Answer:
    sequence: int
    probe_sent_s: float
    record: Record
    held_s: float = 0.0  # Between the probe's arrival and the answer's departure.
    lag_s: float = 0.0  # How late the answering loop is; a late answer measures no distance.
    coordinate: Coordinate | None = None


@dataclass(frozen=True, slots=True)
class Vote:
    """One observer's word about a subject, to the subject's other observers."""

    subject: Record
    observer: NodeId
    kind: str  # "silent" | "refused" | "recovered"


@dataclass(frozen=True, slots=True)
class News:
    """Records that the receiver may not know yet. Travels by flooding; each hop says it once."""

    records: tuple[Record, ...]
    facts: tuple[Facts, ...] = ()  # Of nodes that have just joined.


@dataclass(frozen=True, slots=True)
class DigestEntry:
    record: Record
    facts_version: int  # 0: no facts known


@dataclass(frozen=True, slots=True)
class Sync:
    """One side of an exchange: what is known (in part), and what the other side lacks."""

    digest: tuple[DigestEntry, ...]
    facts: tuple[Facts, ...] = ()
    wanted: tuple[NodeId, ...] = ()  # Whose facts the other side has newer.
    answer: bool = False
    # Nodes of the digest's range; who is in it and not in the digest is unknown to the sender.
    first: NodeId = ""
    last: NodeId = ""


Message = Probe | Answer | Vote | News | Sync
