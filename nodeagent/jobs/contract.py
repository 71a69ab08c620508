"""What the parts of a job promise each other: sources, workers, manifests.

A source is anything with objects that can be listed page by page and read by ranges. What was
listed is read as it was listed, or not at all: an object that changed, vanished or cannot be read
is named, never mixed.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from coordinator.types import Domain
from multicloud.errors import McError
from multicloud.v1 import common_pb2, records_pb2, task_pb2

# Why an object is skipped: words that people and scripts see.
CHANGED, GONE, UNREADABLE, SPECIAL = "changed", "gone", "unreadable", "special file"
NAME = "no path"  # A key that is no path inside of a folder: "a//b", "../x".
LINK = "link"  # To a folder, out of the source, to nothing, or in a circle.


class SkippedObject(Exception):
    """One object cannot be taken in; the job goes on without it, and says so."""

    def __init__(self, path: bytes, why: str, more: str = "") -> None:
        super().__init__(f"{path!r}: {why}" + (f" ({more})" if more else ""))
        self.path, self.why, self.more = path, why, more


class Source(Protocol):
    async def page(self, cursor: str, objects_max: int) -> task_pb2.ListingPage:
        """The objects after a cursor, in an order that stays; `page.page` is left 0.

        Work begins with the first page: nobody lists everything first. What has no content of its
        own (devices, FIFOs, sockets, folders that cannot be read) is in `skipped`, by name.
        """
        ...

    async def read(self, asked: task_pb2.TaskInput, offset_bytes: int, size_bytes: int) -> bytes:
        """Exactly so many bytes of the object that was listed with that etag, wherever the range
        lies in it. Raises SkippedObject, or McError when the source itself is away.
        """
        ...

    async def close(self) -> None: ...


SMALL_BYTES = (
    64 << 10
)  # Objects up to here are read together: a message for each costs more than they.
SEVERAL_MAX, SEVERAL_BYTES_MAX = (
    256,
    1 << 20,
)  # Of one go; with names and reasons it is one message.
Found = bytes | SkippedObject


@runtime_checkable
class ReadsSeveral(Protocol):
    """A source that gives many small objects for the price of one."""

    async def read_several(self, wanted: Sequence[task_pb2.TaskInput]) -> Sequence[Found]:
        """For each range its bytes, or why that object is skipped, in their order."""
        ...


@dataclass(frozen=True, slots=True)
class Reach:
    """Who can read a source that nodes read by themselves, and where it is."""

    unable: Mapping[str, McError] = field(default_factory=dict)  # Nodes, and what each lacks.
    place: Domain | None = None  # Its cloud and region; None: no cloud charges for leaving it.


class Sources(Protocol):
    """Opens a job's source on this node."""

    async def open(
        self, job: str, uri: str, include: Sequence[str] = (), exclude: Sequence[str] = ()
    ) -> Source:
        """SOURCE_AWAY, from here or from any call of it: nobody can read it now; the job waits.

        The globs (JobSpec has them) matter to whoever lists, not to whoever reads.
        """
        ...

    def nearness(self, job: str, uri: str, node: str) -> float:
        """What reading it costs that node, by whatever measure; least first. Infinite: it is not
        to read it, because it cannot, or because others read it for fewer dollars.
        """
        ...

    def reach(self, uri: str) -> Reach:
        """What is known of that by now; nothing before it was opened."""
        ...


Pull = Callable[
    [str, str, AsyncIterator[task_pb2.PullTasksRequest]], AsyncIterator[task_pb2.PullTasksResponse]
]  # job, node of its steward, what the worker says: what the steward says. McError when it ends.


class Working(Protocol):
    """This node's worker."""

    async def run(self, job: str, header: Callable[[], records_pb2.JobHeader], pull: Pull) -> None:
        """Works for a job until it is cancelled. `header` is the newest that this node knows: it
        names the steward, which may change at any time. Ends early on a node that cannot work.
        """
        ...


@dataclass(frozen=True, slots=True)
class Written:
    """A manifest that is safe, as the job's policy asks."""

    chunks: Sequence[common_pb2.ChunkRef]
    files: int
    bytes: int  # Of those files.


Results = Callable[[], AsyncIterator[task_pb2.TaskResult]]  # May be read more than once.


class Manifests(Protocol):
    async def write(self, header: records_pb2.JobHeader, results: Results) -> Written:
        """The manifest of the results that count, each of them once and in no order."""
        ...
