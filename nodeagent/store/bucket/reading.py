"""An open chunk in a bucket: its frames come in one request a part, each checked by its leaf."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing

from multicloud.errors import McError
from nodeagent.core.chunk.envelope import Envelope
from nodeagent.store.bucket.objects import OpenObject
from nodeagent.store.contract import Held

Failed = Callable[[OpenObject, Held, McError], Awaitable[McError]]


class BucketReading:
    def __init__(self, file: OpenObject, held: Held, envelope: Envelope, failed: Failed) -> None:
        self._file, self._held, self._envelope, self._failed = file, held, envelope, failed

    @property
    def held(self) -> Held:
        return self._held

    @property
    def envelope(self) -> Envelope:
        return self._envelope

    async def frames(self, first: int = 0, count: int | None = None) -> AsyncIterator[bytes]:
        every = range(len(self._envelope.entries))
        asked = every[first:] if count is None else every[first : first + count]
        try:
            async with aclosing(self._file.frames(self._envelope, asked)) as frames:
                async for frame in frames:
                    yield frame
        except McError as error:
            raise await self._failed(self._file, self._held, error) from error

    async def close(self) -> None:
        self._file.close()
