"""What the parts of a job promise each other: sources, and what is safe already.

A source is anything with objects that can be listed page by page and read by ranges. What was
listed is read as it was listed, or not at all: an object that changed, vanished or cannot be read
is named, never mixed.
"""

from collections.abc import Sequence
from typing import Protocol

from multicloud.v1 import task_pb2

# Why an object is skipped: words that people and scripts see.
CHANGED, GONE, UNREADABLE, SPECIAL = "changed", "gone", "unreadable", "special file"
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
        """What reading it costs that node, by whatever measure; least first."""
        ...
