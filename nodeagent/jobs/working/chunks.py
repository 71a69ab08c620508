"""A chunk in the making: where its plain bytes come from, what is sealed of them, its outcome."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from multicloud.v1 import task_pb2
from nodeagent.core.chunk.codec import choose
from nodeagent.core.chunk.envelope import Bytes
from nodeagent.core.chunk.keys import DatasetKey, duplicate_tag
from nodeagent.core.chunk.seal import Sealed, Sealer
from nodeagent.jobs.working.stages import INGEST, SEAL, SEND, Stages
from nodeagent.wire.parts import Parts
from nodeagent.wire.sealing import Sealing

Plain = AsyncGenerator[Bytes, None]


@dataclass(slots=True)
class Draft:
    """May be opened anew: then it is another chunk, with an id of its own, of the same bytes."""

    key: DatasetKey
    plain: Callable[[], Plain]
    stages: Stages = field(default_factory=Stages)
    plain_stage: str = INGEST  # Where the task stands while plain bytes are waited for.
    sealed: Sealed | None = None
    file_bytes: int = 0
    _peeked: tuple[Bytes, Plain] | None = field(default=None)

    async def peek(self) -> bool:
        """Whether there are any bytes; the first of them are kept for the first opening."""
        plain = self.plain()
        self._at(self.plain_stage)
        first = await anext(plain, None)
        if first is None:
            return False
        self._peeked = first, plain
        return True

    async def parts(self) -> Parts:
        self.sealed, self.file_bytes = None, 0
        self._at(SEAL)
        first, plain = self._peeked or (None, self.plain())
        self._peeked = None
        async with aclosing(plain):
            if first is None:
                first = await anext(plain, b"")
            codec = await asyncio.to_thread(choose, first)
            sealing = Sealing(
                lambda: Sealer(self.key, salt=secrets.token_bytes(32), codec=codec),
                lambda: self._joined(first, plain),
            )
            async with aclosing(sealing.parts()) as parts:
                async for part in parts:
                    self.file_bytes += len(part.data)
                    # The trailer is the last: whoever has it asks for nothing more.
                    self.sealed = sealing.sealed
                    self._at(SEND)
                    yield part
                    self._at(SEAL)
            self._at(SEND)

    def _at(self, stage: str) -> None:
        """Once its bytes are let go, the task has gone on."""
        if self.plain is not _nothing:
            self.stages.at(stage)

    async def _joined(self, first: Bytes, rest: Plain) -> Plain:
        data: Bytes | None = first
        while data is not None:
            self.stages.moved(SEAL, len(data))
            yield data
            self._at(self.plain_stage)
            data = await anext(rest, None)
            self._at(SEAL)

    def let_go(self) -> None:
        """It is acked: nothing is sent anew, so nobody need hold its bytes."""
        self.plain = _nothing

    async def close(self) -> None:
        if self._peeked is not None:
            await self._peeked[1].aclose()
            self._peeked = None

    def told(self, copies: list[tuple[str, str]]) -> task_pb2.SealedChunk:
        """As facts name it."""
        sealed = self.sealed
        assert sealed is not None, "an acked chunk is sealed"
        told = task_pb2.SealedChunk(
            id=sealed.chunk_id,
            sealed_bytes=self.file_bytes,
            plain_bytes=sealed.plain_bytes,
            duplicate_tag=duplicate_tag(self.key, sealed.plain_hash),
        )
        for node, volume in copies:
            told.copies.add(chunk_id=sealed.chunk_id, node=node, volume=volume)
        return told


async def _nothing() -> Plain:
    nothing: tuple[Bytes, ...] = ()
    for data in nothing:
        yield data
