"""What comes out of a task, in order: the files it makes, piece by piece, and what it put aside."""

from dataclasses import dataclass

from nodeagent.core.pipeline.counts import Counts


@dataclass(frozen=True, slots=True)
class Opened:
    """A part of an output file begins; parts of one path joined by index are the file."""

    path: str
    index: int


@dataclass(frozen=True, slots=True)
class Data:
    """The next bytes of the part that is open."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    records: int | None  # None: bytes passed through, nobody counted.


@dataclass(frozen=True, slots=True)
class Quarantined:
    path: str
    offset_bytes: int
    step: str
    reason: str
    record: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """The last one: records by step, summed over the task's inputs."""

    counts: tuple[Counts, ...]


Event = Opened | Data | Closed | Quarantined | Done
