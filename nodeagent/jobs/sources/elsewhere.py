"""A source that nodes read by themselves: listed here, or through a node that can; read only here,
because tasks are offered to nobody else.
"""

from dataclasses import dataclass, field

from multicloud.errors import McError, Retry
from multicloud.v1 import source_pb2, task_pb2
from nodeagent.jobs.contract import Source
from nodeagent.jobs.sources.readers import Readers
from nodeagent.jobs.sources.remote import RemoteSource

LISTERS_MAX = 3  # Tried one after another for one page.


@dataclass(slots=True)
class DirectSource:
    """Promises what `contract.Source` says."""

    readers: Readers
    ref: source_pb2.SourceRef
    _here: Source | None = None
    _there: dict[str, RemoteSource] = field(default_factory=dict)

    async def page(self, cursor: str, objects_max: int) -> task_pb2.ListingPage:
        """NOT_ALLOWED, NOT_FOUND… when no node can read it, for that reason; once it is listed in
        part, SOURCE_AWAY: grants that were there may come back.
        """
        readers = self.readers
        failed: McError | None = None
        for node in (await readers.able(self.ref.source))[:LISTERS_MAX]:
            try:
                return await (await self._by(node)).page(cursor, objects_max)
            except McError as error:
                if node == readers.world.own:
                    readers.direct.doubt(self.ref.source)
                failed = error
        why = failed or readers.nobody(self.ref.source)
        if cursor and why.row.retry is Retry.NEVER:
            raise McError("SOURCE_AWAY", why.message, next=why.next)
        raise why

    async def read(self, asked: task_pb2.TaskInput, offset_bytes: int, size_bytes: int) -> bytes:
        """SOURCE_AWAY also when this node alone has lost its grant: others are offered the task."""
        try:
            here = await self._by(self.readers.world.own)
            return await here.read(asked, offset_bytes, size_bytes)
        except McError as error:
            if error.reason not in ("SOURCE_AWAY", "NOT_ALLOWED", "EXTRA_MISSING"):
                raise
            self.readers.direct.doubt(self.ref.source)
            raise McError("SOURCE_AWAY", error.message, next=error.next) from error

    async def close(self) -> None:
        here, self._here = self._here, None
        if here is not None:
            await here.close()

    async def _by(self, node: str) -> Source:
        readers = self.readers
        if node != readers.world.own:
            made = RemoteSource(readers.world, readers.links, node, self.ref)
            return self._there.setdefault(node, made)
        if self._here is None:
            self._here = await readers.direct.open(self.ref)
        return self._here
