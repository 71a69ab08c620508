"""What a ledger is made of. Facts only add up: the same fact twice is one fact, in any order.

Plans (pages) carry the epoch of the steward that made them; results are taken from anyone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from coordinator.types import NodeId

ChunkId = bytes
MADE_CHARS = 12  # Of the digest of what a result has made.
TaskId = str  # "<page>.<place in it>.<digest of it>": another listing makes other tasks.


@dataclass(frozen=True, slots=True)
class Shape:
    """A task as the steward needs it; what it reads stands in the page."""

    id: TaskId
    bytes: int
    objects: int  # That begin in it, so that the sum over a page is its number of objects.


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the listing, cut. `last`: there is no page after it."""

    number: int
    cursor: str
    last: bool
    tasks: tuple[Shape, ...]
    objects: int
    bytes: int
    epoch: int
    skipped: Mapping[str, str] = field(default_factory=dict)  # Refused while listing.

    @property
    def id(self) -> str:
        return f"page/{self.number}"


@dataclass(frozen=True, slots=True)
class Copy:
    node: NodeId
    volume: str


@dataclass(frozen=True, slots=True)
class Chunk:
    id: ChunkId
    file_bytes: int
    copies: tuple[Copy, ...]
    reused: bool = False  # Of an earlier version: nothing was sent.


@dataclass(frozen=True, slots=True)
class StepCount:
    """Records of one step: in = out + filtered + dropped + quarantined, but for what it remakes."""

    records_in: int = 0
    records_out: int = 0
    filtered: int = 0
    dropped: int = 0
    quarantined: int = 0
    remakes: bool = False

    def __add__(self, other: "StepCount") -> "StepCount":
        return StepCount(
            self.records_in + other.records_in,
            self.records_out + other.records_out,
            self.filtered + other.filtered,
            self.dropped + other.dropped,
            self.quarantined + other.quarantined,
            self.remakes or other.remakes,
        )


@dataclass(frozen=True, slots=True)
class Result:
    """A task was done: its chunks are acked. Of two results of a task the lower id counts."""

    task: TaskId
    worker: NodeId
    attempt: int
    chunks: tuple[Chunk, ...]
    ingested: int  # Objects that begin in the task and were taken in.
    skipped: Mapping[str, str] = field(default_factory=dict)  # Object to reason.
    steps: tuple[StepCount, ...] = ()
    bytes_in: int = 0
    bytes_out: int = 0
    edges: Mapping[tuple[str, str], int] = field(default_factory=dict)  # Cloud to cloud: bytes.
    # Objects that begin in other tasks, and are skipped as a whole for what was found in this one.
    cut_short: Mapping[str, str] = field(default_factory=dict)
    objects_taken: int = 0  # Of those ingested: unchanged since the base version, and not read.
    bytes_taken: int = 0
    bytes_reused: int = 0  # Read, and found in chunks that are there.

    @property
    def id(self) -> str:
        """It names what was made: a steward that begins anew counts attempts from one again."""
        made = sha256(b"".join(chunk.id for chunk in self.chunks)).hexdigest()[:MADE_CHARS]
        return f"result/{self.task}/{self.worker}/{self.attempt}/{made}"


@dataclass(frozen=True, slots=True)
class Safe:
    """Every chunk of that result stands as the policy asks, on these copies."""

    result: str  # Its id.
    chunks: tuple[Chunk, ...]
    edges: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return f"safe/{self.result}"


@dataclass(frozen=True, slots=True)
class Poisoned:
    """A task that nobody could do: all its objects are skipped, with the reason of the last try."""

    task: TaskId
    reason: str
    objects: int
    epoch: int

    @property
    def id(self) -> str:
        return f"poisoned/{self.task}"


Fact = Page | Result | Safe | Poisoned
