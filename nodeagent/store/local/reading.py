"""Reading a chunk's file: opened with care, its envelope checked against its id, its frames against
their leaves, one or two of them ahead of whoever reads.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from threading import Lock

from multicloud.errors import McError
from nodeagent.core.chunk import envelope as envelopes
from nodeagent.core.chunk.envelope import Envelope
from nodeagent.core.chunk.layout import END, HEAD, HEADER_BYTES_MAX, TRAILER_BYTES_MAX
from nodeagent.store import refusals
from nodeagent.store.contract import Held
from nodeagent.store.local.files import Files, Kind

AHEAD_FRAMES = 2
_FLAGS = os.O_RDONLY | os.O_NONBLOCK  # A FIFO in a chunk's place must not hold us.


class NotAFile(Exception):
    """Something else stands where a chunk belongs."""


class OpenFile:
    """A chunk's file, open for several threads; closed when the last one is out of it."""

    def __init__(self, files: Files, path: str) -> None:
        self._files = files
        if files.stat(path).kind is not Kind.FILE:
            raise NotAFile
        self._fd = files.open(path, _FLAGS)
        self._lock = Lock()
        self._users = 1
        try:
            found = files.stat_open(self._fd)
            if found.kind is not Kind.FILE:
                raise NotAFile
        except BaseException:
            files.close(self._fd)
            raise
        self.inode = found.inode
        self.file_bytes = found.size_bytes

    def read(self, size_bytes: int, offset_bytes: int) -> bytes:
        with self._lock:
            if not self._users:
                raise refusals.ended()
            self._users += 1
        try:
            data = self._files.pread(self._fd, size_bytes, offset_bytes)
            while len(data) < size_bytes:
                at = offset_bytes + len(data)
                more = self._files.pread(self._fd, size_bytes - len(data), at)
                if not more:
                    break
                data += more
            return data
        finally:
            self.close()

    def close(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users:
                return
        self._files.close(self._fd)

    def envelope(self, chunk_id: bytes) -> Envelope:
        """Header and trailer of that chunk, and of no other; else DAMAGE."""
        head = self.read(min(HEADER_BYTES_MAX, self.file_bytes), 0)
        header = head[: envelopes.header_bytes_of(head[: HEAD.size])]
        tail_bytes = min(TRAILER_BYTES_MAX, self.file_bytes)
        tail = self.read(tail_bytes, self.file_bytes - tail_bytes)
        trailer = tail[-envelopes.trailer_bytes_of(tail[-END.size :]) :]
        found = envelopes.parse(header, trailer, chunk_id)
        found.check_file(self.file_bytes)
        return found

    def forget(self) -> None:
        """The next read is of the disk and not of memory, where the system lets us."""
        self._files.forget(self._fd)

    def frame(self, envelope: Envelope, index: int) -> bytes:
        entry = envelope.entries[index]
        data = self.read(entry.sealed_bytes, entry.offset_bytes)
        envelope.check_frame(index, data)
        return data


Failed = Callable[[OpenFile, Held, Exception], Awaitable[McError]]


class LocalReading:
    def __init__(
        self, file: OpenFile, held: Held, envelope: Envelope, executor: Executor, failed: Failed
    ) -> None:
        self._file = file
        self._held = held
        self._envelope = envelope
        self._executor = executor
        self._failed = failed
        self._closed = False

    @property
    def held(self) -> Held:
        return self._held

    @property
    def envelope(self) -> Envelope:
        return self._envelope

    async def frames(self, first: int = 0, count: int | None = None) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        every = range(len(self._envelope.entries))
        rest = iter(every[first:] if count is None else every[first : first + count])
        ahead: deque[asyncio.Future[bytes]] = deque()

        def go_on() -> None:
            if (index := next(rest, None)) is not None:
                read = loop.run_in_executor(self._executor, self._file.frame, self._envelope, index)
                ahead.append(read)

        try:
            for _ in range(AHEAD_FRAMES):
                go_on()
            while ahead:
                try:
                    frame = await ahead[0]
                except (OSError, McError) as error:
                    raise await self._failed(self._file, self._held, error) from error
                ahead.popleft()
                go_on()
                yield frame
        finally:
            for read in ahead:
                read.cancel()
                if read.done() and not read.cancelled():
                    read.exception()  # Asked for, so that nobody complains of it.

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._file.close()
