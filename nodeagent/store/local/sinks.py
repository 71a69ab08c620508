"""Two ways to bring a file's bytes to the disk: past the page cache, or through it and early.

Neither is durable before the datasync. Both run in the put's thread and raise OSError.
"""

import mmap
import os
from concurrent.futures import Executor, Future
from threading import Lock
from typing import Protocol

from nodeagent.core.chunk.envelope import Bytes
from nodeagent.store.local.files import Files
from nodeagent.store.local.identity import write_all

O_DIRECT = getattr(os, "O_DIRECT", 0)
ALIGN_BYTES = 4096
BUFFER_BYTES = 4 << 20
BUFFERS_PER_PUT = 3  # Two are on their way while one is filled: one alone reaches 0.6 of that.
SETS_KEPT = 1  # While nobody writes; each is 12 MiB that the kernel counts as ours.
FLUSH_EVERY_BYTES = 8 << 20


class Sink(Protocol):
    def write(self, data: Bytes) -> None: ...
    def finish(self) -> None:
        """All bytes are with the kernel; the file may be longer than what was written."""
        ...

    def drop(self) -> None:
        """The file is not wanted; nothing may be under way in it when this returns."""
        ...


class Buffered:
    def __init__(self, files: Files, fd: int) -> None:
        self._files = files
        self._fd = fd
        self._written_bytes = 0
        self._flushed_bytes = 0

    def write(self, data: Bytes) -> None:
        view = memoryview(data).cast("B")
        write_all(self._files, self._fd, view, self._written_bytes)
        self._written_bytes += len(view)
        waiting = self._written_bytes - self._flushed_bytes
        if waiting >= FLUSH_EVERY_BYTES:
            self._files.flush_early(self._fd, self._flushed_bytes, waiting)
            self._flushed_bytes = self._written_bytes

    def finish(self) -> None:
        """They are."""

    def drop(self) -> None:
        """Nothing is."""


class Direct:
    def __init__(
        self, files: Files, fd: int, buffers: list[memoryview], executor: Executor
    ) -> None:
        self._files = files
        self._fd = fd
        self._buffers = buffers
        self._executor = executor
        self._going: list[Future[None] | None] = [None] * len(buffers)
        self._at = 0  # The buffer that is filled,
        self._filled_bytes = 0  # how far,
        self._offset_bytes = 0  # and where it belongs.

    def write(self, data: Bytes) -> None:
        view = memoryview(data).cast("B")
        while view:
            buffer = self._buffers[self._at]
            taken = min(len(view), len(buffer) - self._filled_bytes)
            buffer[self._filled_bytes : self._filled_bytes + taken] = view[:taken]
            self._filled_bytes += taken
            view = view[taken:]
            if self._filled_bytes == len(buffer):
                self._send(buffer)

    def finish(self) -> None:
        if self._filled_bytes:
            padded = -(-self._filled_bytes // ALIGN_BYTES) * ALIGN_BYTES
            buffer = self._buffers[self._at]
            buffer[self._filled_bytes : padded] = bytes(padded - self._filled_bytes)
            self._send(buffer[:padded])
        for index in range(len(self._going)):
            self._wait(index)

    def drop(self) -> None:
        for going in self._going:
            if going is not None:
                going.exception()

    def _send(self, data: memoryview) -> None:
        self._going[self._at] = self._executor.submit(
            write_all, self._files, self._fd, data, self._offset_bytes
        )
        self._offset_bytes += len(data)
        self._filled_bytes = 0
        self._at = (self._at + 1) % len(self._buffers)
        self._wait(self._at)

    def _wait(self, index: int) -> None:
        going, self._going[index] = self._going[index], None
        if going is not None:
            going.result()


class Buffers:
    """Aligned memory for direct writes, used again: fresh pages are dear. Few are kept at rest."""

    def __init__(self, sets_max: int) -> None:
        self._lock = Lock()
        self._left = sets_max
        self._free: list[list[memoryview]] = []

    def take(self) -> list[memoryview] | None:
        """None when all are in use: then a put goes through the page cache."""
        with self._lock:
            if self._free:
                return self._free.pop()
            if self._left <= 0:
                return None
            self._left -= 1
        return [memoryview(mmap.mmap(-1, BUFFER_BYTES)) for _ in range(BUFFERS_PER_PUT)]

    def give_back(self, buffers: list[memoryview]) -> None:
        with self._lock:
            if len(self._free) < SETS_KEPT:
                self._free.append(buffers)
            else:
                self._left += 1  # Its pages go with the last who refers to it.
