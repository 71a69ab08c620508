"""Reads a range of one chunk from the best of its copies: the own disk, then the nearest peer.

When the first bytes are later than that peer's p95 the next copy is asked beside it, and whoever is
first goes on. A bad copy is reported, and the next one goes on where it broke off.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol

from coordinator.types import NodeId
from multicloud.errors import McError
from nodeagent.core.chunk.keys import DatasetKey
from nodeagent.core.pace import Paces
from nodeagent.jobs.datasets.sources_of_chunk import CopySource, PlainFrame, Said, Shape, Span
from nodeagent.store.volumes import Volumes
from nodeagent.wire.flow import first_of
from nodeagent.wire.ground import Ground

STALL_S = 5.0  # In the middle of a chunk; with another copy at hand nobody waits longer.
FATAL = ("KEY_MISSING", "UNSUPPORTED")  # No other copy will do better.

Give = Callable[[PlainFrame], Awaitable[None]]


class Where(Protocol):
    async def of(self, chunk_id: bytes, beside: Collection[bytes] = ()) -> list[NodeId]: ...
    def forget(self, chunk_id: bytes) -> None: ...


class Report(Protocol):
    """Hears of a peer whose bytes were bad, so that it looks at its copy and has it repaired."""

    async def __call__(self, node: NodeId, chunk_id: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Means:
    ground: Ground
    store: Volumes | None
    where: Where
    report: Report
    name: Callable[[NodeId], str]
    away: Callable[[], Collection[NodeId]]
    paces: Paces = field(default_factory=Paces)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Plain bytes of a chunk. `frame_bytes` is a guess; the chunk's header knows."""

    chunk_id: bytes
    key: DatasetKey
    offset_bytes: int
    size_bytes: int
    frame_bytes: int
    beside: Collection[bytes] = ()  # Chunks that are wanted next.

    def indices(self, frame_bytes: int) -> range:
        end = self.offset_bytes + max(1, self.size_bytes)
        return range(self.offset_bytes // frame_bytes, -(-end // frame_bytes))


class Race:
    """One read. `run` gives whole frames, in order, each once."""

    def __init__(self, means: Means, wanted: Wanted, give: Give) -> None:
        self._means, self._wanted, self._give = means, wanted, give
        self._frame_bytes = wanted.frame_bytes
        self._left = wanted.indices(self._frame_bytes)
        self._waiting: list[NodeId] = []
        self._running: list[CopySource] = []
        self._failures: dict[NodeId, McError] = {}
        self._news = asyncio.Event()
        self._asked_anew = False

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                await self._line_up()
                while self._left:
                    source, said = await self._first()
                    await self._follow(source, said)
                for source in self._running:
                    source.stop()
        except BaseExceptionGroup as failed:
            raise first_of(failed) from failed

    # -- Who is asked

    async def _line_up(self) -> None:
        """The own disk alone where it has the chunk: then nobody else is asked at all."""
        chunk_id, means = self._wanted.chunk_id, self._means
        own = means.ground.node
        here = means.store is not None and await means.store.find([chunk_id])
        if here and own not in self._failures:
            self._waiting = [own]
        else:
            await self._ask_around()

    async def _ask_around(self) -> None:
        known = await self._means.where.of(self._wanted.chunk_id, self._wanted.beside)
        self._waiting += [node for node in known if node not in self._failures]

    async def _more(self) -> None:
        """Everybody in line has failed."""
        own = self._means.ground.node
        if set(self._failures) == {own}:
            await self._ask_around()
        if not self._waiting and not self._asked_anew:  # What was known of others may be old.
            self._asked_anew = True
            self._means.where.forget(self._wanted.chunk_id)
            bad = {n: e for n, e in self._failures.items() if e.reason == "DAMAGE" or n == own}
            known = await self._means.where.of(self._wanted.chunk_id)
            self._waiting = [node for node in known if node not in bad]
        if not self._waiting:
            raise self._lost()

    def _lost(self) -> McError:
        name, away = self._means.name, sorted(self._means.away())
        which = f"chunk {self._wanted.chunk_id.hex()}"
        told = "; ".join(f"{name(node)}: {e.message}" for node, e in self._failures.items())
        said = f"no good copy of {which} can be reached" + (f" ({told})" if told else "")
        if away:
            said += f"; away, and perhaps with a copy: {', '.join(map(name, away))}"
        facts = {"chunk": self._wanted.chunk_id.hex()}
        return McError("COPIES_MISSING", said, facts=facts)

    # -- The race for the first frame

    async def _first(self) -> tuple[CopySource, Said]:
        while True:
            if not self._waiting and not self._running:
                await self._more()
            if self._waiting:
                self._start(self._waiting.pop(0))
            newest = self._running[-1].node
            patience_s = self._means.paces.patience_s(newest) if self._waiting else None
            found = await self._heard(patience_s)
            if found is not None:
                return found

    def _start(self, node: NodeId) -> None:
        span = Span(
            self._wanted.chunk_id,
            self._wanted.key,
            self._frame_bytes,
            self._left.start,
            len(self._left),
        )
        source = CopySource(node, self._news, self._means.ground.clock_s())
        feeding = source.feed(self._means.ground, self._means.store, span)
        source.task = self._group.create_task(feeding)
        self._running.append(source)

    async def _heard(self, within_s: float | None) -> tuple[CopySource, Said] | None:
        """The first source with something good to say; None: the next one is to be asked."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    self._news.clear()
                    for source in [s for s in self._running if not s.said.empty()]:
                        said = source.said.get_nowait()
                        if not isinstance(said, McError):
                            return self._won(source), said
                        self._failed(source, said)
                        if not self._running:
                            return None
                    await self._news.wait()
        except TimeoutError:
            return None

    def _won(self, source: CopySource) -> CopySource:
        self._means.paces.took(source.node, self._means.ground.clock_s() - source.began_s)
        for other in self._running:
            if other is not source:
                other.stop()
                self._waiting.append(other.node)  # It may be needed yet.
        self._running = [source]
        return source

    def _failed(self, source: CopySource, error: McError) -> None:
        if error.reason in FATAL:
            raise error
        source.stop()
        self._running.remove(source)
        self._failures[source.node] = error
        if error.reason == "DAMAGE" and source.node != self._means.ground.node:
            self._group.create_task(self._means.report(source.node, self._wanted.chunk_id))

    # -- The winner

    async def _follow(self, source: CopySource, said: Said) -> None:
        """Until all is given, or the source has broken off."""
        while True:
            match said:
                case PlainFrame():
                    await self._give(said)
                    end = min(self._left.stop, _frames(said.shape))
                    self._left = range(said.index + 1, end)
                case Shape():
                    self._reshape(said)
                case None if self._left:
                    cut = McError("DAMAGE", f"it ended before frame {self._left.start}")
                    self._failed(source, cut)
                    return
                case McError():
                    self._failed(source, said)
                    return
            if isinstance(said, Shape) or not self._left:
                source.stop()
                self._running.remove(source)
                if isinstance(said, Shape):
                    self._waiting.insert(0, source.node)
                return
            said = await self._next(source)

    async def _next(self, source: CopySource) -> Said:
        try:
            async with asyncio.timeout(STALL_S if self._waiting else None):
                return await source.said.get()
        except TimeoutError:
            return McError("STALLED", f"{source.node} sent nothing for {STALL_S:g} s")

    def _reshape(self, shape: Shape) -> None:
        """Its frames have another size than was thought: ask again, for the right ones."""
        self._frame_bytes = shape.frame_bytes
        wanted = self._wanted.indices(shape.frame_bytes)
        self._left = range(wanted.start, min(wanted.stop, _frames(shape)))


def _frames(shape: Shape) -> int:
    return max(1, -(-shape.plain_bytes // shape.frame_bytes))
