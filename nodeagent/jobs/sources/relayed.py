"""A laptop's files, for a node that may have no stream of its own: through one that has."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from multicloud.errors import McError
from multicloud.v1 import source_pb2, task_pb2
from nodeagent.jobs.contract import Found
from nodeagent.jobs.sources.files import FileSource
from nodeagent.jobs.sources.own import OwnSources, StreamSource
from nodeagent.jobs.sources.remote import RemoteSource
from nodeagent.jobs.sources.world import World
from nodeagent.wire.ground import Links

ASKED_AGAIN_S = 0.5  # All others are asked this often at most, while nobody has a stream.

T = TypeVar("T")
Reader = FileSource | StreamSource | RemoteSource


@dataclass(slots=True)
class LaptopSource:
    """SOURCE_AWAY when no node has a stream of that laptop; it comes back with one."""

    world: World
    links: Links
    own: OwnSources
    ref: source_pb2.SourceRef
    _here: FileSource | StreamSource | None = None
    _via: RemoteSource | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _asked_s: float = float("-inf")

    async def page(self, cursor: str, objects_max: int) -> task_pb2.ListingPage:
        return await self._by_any(lambda source: source.page(cursor, objects_max))

    async def read(self, asked: task_pb2.TaskInput, offset_bytes: int, size_bytes: int) -> bytes:
        return await self._by_any(lambda source: source.read(asked, offset_bytes, size_bytes))

    async def read_several(self, wanted: Sequence[task_pb2.TaskInput]) -> Sequence[Found]:
        return await self._by_any(lambda source: source.read_several(wanted))

    async def close(self) -> None:
        self._via = None

    async def _by_any(self, work: Callable[[Reader], Awaitable[T]]) -> T:
        """By the own stream, else by the node that did it last, else by whoever says it can."""
        if self.own.has(self.ref):
            try:
                if self._here is None:
                    self._here = await self.own.open(self.ref)
                return await work(self._here)
            except McError as error:
                if error.reason != "SOURCE_AWAY":
                    raise
        via = self._via
        if via is not None:
            try:
                return await work(via)
            except McError as error:
                if error.reason != "SOURCE_AWAY":
                    raise
        return await work(await self._found(via))

    async def _found(self, failed: RemoteSource | None) -> RemoteSource:
        async with self._turn:
            if self._via is not None and self._via is not failed:
                return self._via  # Somebody else has just found one.
            self._via = None
            now_s = asyncio.get_running_loop().time()
            if now_s - self._asked_s >= ASKED_AGAIN_S:
                self._via = await self._search(failed.node if failed else "")
                self._asked_s = now_s
            if self._via is None:
                said = (
                    f"nobody serves {self.ref.source} for job {self.ref.job} now: no node has a "
                    "stream of that laptop"
                )
                raise McError("SOURCE_AWAY", said)
            return self._via

    async def _search(self, failed: str) -> RemoteSource | None:
        """The node that the laptop chose for this one goes first, the one that failed last."""
        others = [node for node in self.world.view().members if self.world.is_there(node)]
        sources = [
            RemoteSource(self.world, self.links, node, self.ref)
            for node in others
            if node != self.world.own
        ]
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(_asked(source)) for source in sources]
        ranked = [
            (node_failed, not said.relays_for_you, place)
            for place, (source, task) in enumerate(zip(sources, asked, strict=True))
            if (said := task.result()).here
            for node_failed in (source.node == failed,)
        ]
        return sources[min(ranked)[2]] if ranked else None


async def _asked(source: RemoteSource) -> source_pb2.FindSourceResponse:
    """Whoever cannot be asked, for whatever reason, can read nothing for this node."""
    try:
        return await source.find()
    except McError:
        return source_pb2.FindSourceResponse()
