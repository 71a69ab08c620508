"""The writing side of a volume: its threads, its buffers, the file that each put begins with."""

import asyncio
import errno
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from time import perf_counter
from typing import Literal

from nodeagent.store.local.committer import Committer
from nodeagent.store.local.probe import prefers_direct
from nodeagent.store.local.put import Draft, LocalPut
from nodeagent.store.local.sinks import (
    ALIGN_BYTES,
    BUFFER_BYTES,
    BUFFERS_PER_PUT,
    O_DIRECT,
    Buffered,
    Buffers,
    Direct,
    Sink,
)
from nodeagent.store.local.volume import Volume

DIRECT_BYTES_MIN = 2 * BUFFER_BYTES  # A smaller file gains nothing from going past the cache.
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL
# What file systems say that cannot allocate, or cannot write past the page cache.
_NOT_THERE = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)


class Writers:
    def __init__(
        self,
        volume: Volume,
        committer: Committer,
        loop: asyncio.AbstractEventLoop,
        writers_max: int,
        direct_bytes_min: int,
    ) -> None:
        self.direct = False
        self._volume = volume
        self._committer = committer
        self._direct_bytes_min = direct_bytes_min
        self._loop = loop
        self._pool = ThreadPoolExecutor(writers_max, thread_name_prefix="write")
        self._sending = ThreadPoolExecutor(writers_max * (BUFFERS_PER_PUT - 1), "send")
        self._buffers = Buffers(writers_max)
        self._numbers = count()
        self._open: set[LocalPut] = set()

    async def choose(self, write: Literal["auto", "direct", "buffered"]) -> None:
        """How large files are written; by a trial, where nobody says it."""
        if write == "auto" and self._volume.condition.is_writable:
            volume = self._volume
            self.direct = await asyncio.wrap_future(
                self._pool.submit(
                    prefers_direct,
                    volume.files,
                    volume.paths,
                    self._buffers,
                    self._sending,
                    perf_counter,
                )
            )
        else:
            self.direct = write == "direct" and bool(O_DIRECT)

    @property
    def running(self) -> int:
        return len(self._open)

    async def put(self, file_bytes_max: int) -> LocalPut:
        self._volume.condition.promise(file_bytes_max)
        opening = self._pool.submit(self._begin, file_bytes_max)
        try:
            draft = await asyncio.shield(asyncio.wrap_future(opening))
        except asyncio.CancelledError:
            opening.add_done_callback(self._abandon)
            raise
        put = LocalPut(
            self._volume, self._committer, self._loop, self._submit, draft, self._open.discard
        )
        self._open.add(put)
        return put

    async def close(self) -> None:
        for put in list(self._open):
            await put.abort()
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        self._pool.shutdown()
        self._sending.shutdown()

    def _submit(self, job: Callable[[], None]) -> object:
        return self._pool.submit(job)

    # --- in the pool ---

    def _begin(self, file_bytes_max: int) -> Draft:
        condition, files = self._volume.condition, self._volume.files
        path = self._volume.paths.draft(f"{next(self._numbers):x}")
        large = file_bytes_max >= self._direct_bytes_min
        buffers = self._buffers.take() if self.direct and large else None
        promised_bytes, fd = file_bytes_max, -1
        try:
            if buffers is not None and (fd := self._open_direct(path)) < 0:
                self._buffers.give_back(buffers)
                buffers = None
            if fd < 0:
                fd = files.open(path, _FLAGS)
            if file_bytes_max and self._allocate(fd, file_bytes_max):
                condition.give_back(promised_bytes)  # It is no promise any more but taken.
                promised_bytes = 0
                condition.look()
        except OSError as error:
            refused = condition.judge(error, "a file cannot be made")
            if fd >= 0:
                self._remove(path, fd)
            self._release(promised_bytes, buffers)
            raise refused from error
        sink: Sink = Buffered(files, fd)
        if buffers is not None:
            sink = Direct(files, fd, buffers, self._sending)
        cut = not promised_bytes or buffers is not None
        return Draft(
            path, fd, sink, file_bytes_max, cut, lambda: self._release(promised_bytes, buffers)
        )

    def _open_direct(self, path: str) -> int:
        """-1 where the file system knows no way past the page cache."""
        files = self._volume.files
        try:
            return files.open(path, _FLAGS | O_DIRECT)
        except OSError as error:
            if error.errno not in _NOT_THERE:
                raise
        self.direct = False
        with suppress(FileNotFoundError):
            files.unlink(path)  # Some make the name before they refuse.
        return -1

    def _allocate(self, fd: int, size_bytes: int) -> bool:
        padded = -(-size_bytes // ALIGN_BYTES) * ALIGN_BYTES
        try:
            self._volume.files.allocate(fd, padded)
        except OSError as error:
            if error.errno not in _NOT_THERE:
                raise
            return False
        return True

    def _release(self, promised_bytes: int, buffers: list[memoryview] | None) -> None:
        self._volume.condition.give_back(promised_bytes)
        if buffers is not None:
            self._buffers.give_back(buffers)

    def _remove(self, path: str, fd: int) -> None:
        """As well as can be: what stays in tmp/ goes at the next start."""
        with suppress(OSError):
            self._volume.files.close(fd)
            if self._volume.condition.is_writable:
                self._volume.files.unlink(path)

    def _abandon(self, opening: "Future[Draft]") -> None:
        """Whoever asked was cancelled before the file was there."""
        if opening.exception() is None:
            draft = opening.result()
            self._remove(draft.path, draft.fd)
            draft.release()
