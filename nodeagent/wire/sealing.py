"""A chunk that is sealed while it is sent: each part goes out as soon as it is made."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from nodeagent.core.chunk.codec import coded_bytes_max
from nodeagent.core.chunk.envelope import Bytes, parse
from nodeagent.core.chunk.header import FRAME_BYTES, HEADER_BYTES
from nodeagent.core.chunk.layout import TRAILER_BYTES_MAX
from nodeagent.core.chunk.seal import TAG_BYTES, Sealed, Sealer
from nodeagent.wire.parts import Part, Parts, frame_part, header_part, trailer_part

Plain = Callable[[], AsyncGenerator[Bytes, None]]


class Sealing:
    """Can be opened anew, and is another chunk then: `sealer` draws a new salt each time."""

    def __init__(
        self, sealer: Callable[[], Sealer], plain: Plain, records: int | None = None
    ) -> None:
        self._sealer, self._plain, self._records = sealer, plain, records
        self.sealed: Sealed | None = None  # Of the last time, once it is whole.

    async def parts(self) -> Parts:
        """The work is done in threads: the loop sends meanwhile."""
        self.sealed = None
        sealer = self._sealer()
        yield header_part(sealer.header)
        async with aclosing(self._plain()) as plain:
            async for data in plain:
                for part in await asyncio.to_thread(_frames, sealer, data):
                    yield part
        sealed = await asyncio.to_thread(sealer.finish, self._records)
        frame = sealed.frame
        yield frame_part(frame.index, frame.data, frame.leaf)
        self.sealed = sealed
        yield trailer_part(parse(sealer.header, sealed.trailer, sealed.chunk_id))


def _frames(sealer: Sealer, data: Bytes) -> list[Part]:
    return [frame_part(f.index, f.data, f.leaf) for f in sealer.add(data)]


def sealed_bytes_max(plain_bytes: int, frame_bytes: int = FRAME_BYTES) -> int:
    """The most that a chunk's file takes for so much."""
    frames = max(1, -(-plain_bytes // frame_bytes))
    return HEADER_BYTES + frames * (coded_bytes_max(frame_bytes) + TAG_BYTES) + TRAILER_BYTES_MAX
