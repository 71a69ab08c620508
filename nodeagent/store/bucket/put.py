"""A chunk on its way into a bucket. With its id and exact size known it streams there; without, its
bytes wait in memory, because a key needs the id and most clouds know no rename.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Protocol

from multicloud.errors import McError
from nodeagent.clouds.contract import Object
from nodeagent.core.chunk.envelope import Bytes, Envelope
from nodeagent.store import refusals
from nodeagent.store.contract import Committed, Pin

WAITING_MAX = 4  # Pieces between whoever writes and the cloud.


class Upload(Protocol):
    """Makes the chunk's object durable: the turn of its key, and what the cloud says of it."""

    async def __call__(self, envelope: Envelope) -> tuple[int, Object]: ...


class Shelf(Protocol):
    """Where a put comes from, and goes to."""

    async def place(self, envelope: Envelope, pin: Pin | None, upload: Upload) -> Committed: ...
    async def upload(self, key: str, pieces: AsyncIterator[bytes], size: int) -> Object: ...
    async def upload_anywhere(self, envelope: Envelope, data: bytes) -> tuple[int, Object]: ...
    async def found_there(self, envelope: Envelope, turn: int, error: McError) -> Object: ...
    def give_back(self, file_bytes_max: int, *, buffered: bool = False) -> None: ...


class BufferedPut:
    def __init__(self, shelf: Shelf, file_bytes_max: int) -> None:
        self._shelf, self._file_bytes_max = shelf, file_bytes_max
        self._data = bytearray()
        self._open = True

    async def write(self, data: Bytes) -> None:
        if not self._open:
            raise refusals.ended()
        if len(self._data) + memoryview(data).nbytes > self._file_bytes_max:
            raise refusals.overfull(self._file_bytes_max)
        self._data += data

    async def commit(self, envelope: Envelope, pin: Pin | None) -> Committed:
        if not self._open:
            raise refusals.ended()
        try:
            if len(self._data) != envelope.file_bytes:
                size = len(self._data)
                raise refusals.other_size(envelope.chunk_id, size, envelope.file_bytes)
            return await self._shelf.place(envelope, pin, self._upload)
        finally:
            await self.abort()

    async def abort(self) -> None:
        if self._open:
            self._open = False
            self._data = bytearray()
            self._shelf.give_back(self._file_bytes_max, buffered=True)

    async def _upload(self, envelope: Envelope) -> tuple[int, Object]:
        return await self._shelf.upload_anywhere(envelope, bytes(self._data))


class StreamedPut:
    """Its bytes are on their way to the cloud while they are written here."""

    def __init__(self, shelf: Shelf, chunk_id: bytes, file_bytes: int, turn: int, key: str) -> None:
        self._shelf, self._chunk_id, self._file_bytes = shelf, chunk_id, file_bytes
        self._turn, self._key = turn, key
        self._pipe = _Pipe()
        self._written_bytes = 0
        self._open = True
        sending = shelf.upload(key, self._pipe.pieces(), file_bytes)
        self._sending = asyncio.get_running_loop().create_task(sending)
        self._sending.add_done_callback(lambda _: self._pipe.wake())

    async def write(self, data: Bytes) -> None:
        if not self._open:
            raise refusals.ended()
        size = memoryview(data).nbytes
        if self._written_bytes + size > self._file_bytes:
            raise refusals.overfull(self._file_bytes)
        self._written_bytes += size
        await self._pipe.send(data if isinstance(data, bytes) else bytes(data), self._sending)

    async def commit(self, envelope: Envelope, pin: Pin | None) -> Committed:
        if not self._open:
            raise refusals.ended()
        try:
            if envelope.chunk_id != self._chunk_id:
                said = f"chunk {self._chunk_id.hex()} was announced, {envelope.chunk_id.hex()} came"
                raise McError("DAMAGE", said)
            if self._written_bytes != envelope.file_bytes:
                size = self._written_bytes
                raise refusals.other_size(envelope.chunk_id, size, envelope.file_bytes)
            if self._written_bytes != self._file_bytes:
                said = f"{self._file_bytes} bytes were announced, and the chunk has fewer"
                raise McError("FAILED", said, next="announce its size, or leave its id away")
            return await self._shelf.place(envelope, pin, self._upload)
        finally:
            await self.abort()

    async def abort(self) -> None:
        if self._open:
            self._open = False
            self._sending.cancel()
            await asyncio.wait([self._sending])
            if not self._sending.cancelled():
                self._sending.exception()  # Looked at: whoever committed has heard of it.
            self._shelf.give_back(self._file_bytes)

    async def _upload(self, envelope: Envelope) -> tuple[int, Object]:
        self._pipe.end()
        try:
            return self._turn, await asyncio.shield(self._sending)
        except McError as error:
            return self._turn, await self._shelf.found_there(envelope, self._turn, error)


class _Pipe:
    """Pieces from one who writes to one who reads, few at a time."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._ended = False
        self._moved = asyncio.Event()

    async def send(self, piece: bytes, reader: "asyncio.Task[Object]") -> None:
        """What nobody reads any more is dropped: the commit says why."""
        while len(self._waiting) >= WAITING_MAX and not reader.done():
            await self._news()
        if not reader.done():
            self._waiting.append(piece)
            self._moved.set()

    def end(self) -> None:
        self._ended = True
        self._moved.set()

    def wake(self) -> None:
        self._moved.set()

    async def pieces(self) -> AsyncIterator[bytes]:
        while True:
            while self._waiting:
                piece = self._waiting.popleft()
                self._moved.set()
                yield piece
            if self._ended:
                return
            await self._news()

    async def _news(self) -> None:
        self._moved.clear()
        await self._moved.wait()
