"""One copy of a chunk as a source of plain frames: the own disk's, or a peer's over the wire. It is
read, checked and opened in a task of its own, a few frames ahead of whoever takes them.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from coordinator.types import NodeId
from multicloud.errors import McError
from nodeagent.core.chunk.envelope import Envelope
from nodeagent.core.chunk.keys import DatasetKey
from nodeagent.core.chunk.open import Opener
from nodeagent.store.volumes import Volumes
from nodeagent.wire.fetch import fetch
from nodeagent.wire.ground import Ground

AHEAD_FRAMES = 2


@dataclass(frozen=True, slots=True)
class Shape:
    """What a chunk's own header and trailer say of it."""

    frame_bytes: int
    plain_bytes: int


@dataclass(frozen=True, slots=True)
class PlainFrame:
    index: int
    data: bytes
    shape: Shape


@dataclass(frozen=True, slots=True)
class Span:
    """Frames of a chunk, if they are of that size; else only its shape is told."""

    chunk_id: bytes
    key: DatasetKey
    frame_bytes: int
    first: int
    count: int


Said = PlainFrame | Shape | McError | None  # None: that was all.


@dataclass(slots=True)
class CopySource:
    node: NodeId
    news: asyncio.Event  # Set whenever this source has said something.
    began_s: float
    said: asyncio.Queue[Said] = field(default_factory=lambda: asyncio.Queue(AHEAD_FRAMES))
    task: asyncio.Task[None] | None = None

    async def feed(self, ground: Ground, store: Volumes | None, span: Span) -> None:
        try:
            here = self.node == ground.node and store is not None
            opened = _own(store, span) if here and store else _peers(ground, self.node, span)
            async with opened as (envelope, frames):
                opener = Opener(envelope, span.key)
                shape = Shape(opener.header.frame_bytes, opener.plain_bytes)
                if shape.frame_bytes != span.frame_bytes:
                    await self._say(shape)
                    return
                index = span.first
                async for sealed in frames:
                    plain = await asyncio.to_thread(_plain, opener, index, sealed)
                    await self._say(PlainFrame(index, plain, shape))
                    index += 1
            await self._say(None)
        except McError as error:
            await self._say(error)

    async def _say(self, said: Said) -> None:
        await self.said.put(said)
        self.news.set()

    def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()


Frames = tuple[Envelope, AsyncIterator[bytes]]


@asynccontextmanager
async def _own(store: Volumes, span: Span) -> AsyncIterator[Frames]:
    reading = await store.read(span.chunk_id)
    try:
        left = len(reading.envelope.entries) - span.first
        yield reading.envelope, reading.frames(span.first, min(span.count, left))
    finally:
        await reading.close()


@asynccontextmanager
async def _peers(ground: Ground, node: NodeId, span: Span) -> AsyncIterator[Frames]:
    async with fetch(ground, node, span.chunk_id, span.first, span.count) as fetching:
        yield fetching.envelope, fetching.frames()


def _plain(opener: Opener, index: int, sealed: bytes) -> bytes:
    return bytes(opener.open_frame(index, sealed))
