"""A folder or a file on this machine as a source: for laptops and for nodes alike.

An etag is the inode, the size and the time of change of an object, in hex: `1f-400-17b…`. The
device is left out, its number changes over reboots. What is read under an etag is what was listed
under it: whoever writes a file changes its size or its time, at a grain of a few milliseconds.
"""

import asyncio
import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from typing import TypeVar
from urllib.parse import quote_from_bytes, unquote_to_bytes

from multicloud.errors import McError
from multicloud.v1 import task_pb2
from nodeagent.jobs.contract import (
    CHANGED,
    GONE,
    LINK,
    SPECIAL,
    UNREADABLE,
    Found,
    SkippedObject,
)
from nodeagent.jobs.sources import beneath
from nodeagent.jobs.sources.folders import Top
from nodeagent.jobs.sources.globs import Globs
from nodeagent.jobs.sources.together import check
from nodeagent.jobs.sources.walking import Entry, Walk

PAGE_OBJECTS_MAX = 10_000
PAGE_PATH_BYTES_MAX = 1 << 20  # A page is one message.
PAGE_ENTRIES_MAX = 50_000  # Looked at for one page, however few of them are wanted.
READ_BYTES_MAX = 256 << 20  # Of one read.

T = TypeVar("T")


class FileSource:
    """Promises what `contract.Source` says. Blocking work is done in the executor's threads.
    Between two calls at most the folder that is being listed is open.
    """

    def __init__(self, top: Top, executor: Executor, globs: Globs) -> None:
        self._top, self._executor, self._globs = top, executor, globs
        self._turn = threading.Lock()  # Of listing: whoever was cancelled may still be at it.
        self._walk: _Walking | None = None
        self._place = ""  # Where the walk stands.

    @classmethod
    async def opened(
        cls,
        path: bytes,
        executor: Executor,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        root: bytes | None = None,
    ) -> "FileSource":
        """Beneath `root`, where one is given: no link leads out of it. SOURCE_AWAY when there is
        nothing to be read.
        """
        globs = Globs(include, exclude)
        loop = asyncio.get_running_loop()
        return cls(await loop.run_in_executor(executor, Top.find, path, root), executor, globs)

    async def page(self, cursor: str, objects_max: int) -> task_pb2.ListingPage:
        if not 1 <= objects_max <= PAGE_OBJECTS_MAX:
            said = f"a page of {objects_max} objects was asked for; 1 to {PAGE_OBJECTS_MAX} may be"
            raise McError("BAD_REQUEST", said)
        return await self._in_thread(lambda: self._next_page(cursor, objects_max))

    async def read(self, asked: task_pb2.TaskInput, offset_bytes: int, size_bytes: int) -> bytes:
        if not (offset_bytes >= 0 and 0 <= size_bytes <= READ_BYTES_MAX):
            said = f"{size_bytes} bytes from {offset_bytes} cannot be read at once"
            raise McError("BAD_REQUEST", said)
        path, etag = asked.path, asked.etag
        return await self._in_thread(lambda: self._one(path, etag, offset_bytes, size_bytes))

    async def read_several(self, wanted: Sequence[task_pb2.TaskInput]) -> Sequence[Found]:
        """Small ranges, each with its bytes or why it is skipped, in one go."""
        check(wanted)
        return await self._in_thread(lambda: self._several(wanted))

    async def close(self) -> None:
        await self._in_thread(self._forget)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    # --- in a thread

    def _next_page(self, cursor: str, objects_max: int) -> task_pb2.ListingPage:
        with self._turn:
            if self._walk is None or cursor != self._place:
                self._begin(cursor)
            page = task_pb2.ListingPage(cursor=cursor, listed_unix_ms=time.time_ns() // 1_000_000)
            try:
                self._fill(page, objects_max)
            except OSError as error:
                self._end()
                raise self._top.away(error) from error
            self._place = page.cursor
            if page.last:
                self._end()
            return page

    def _fill(self, page: task_pb2.ListingPage, objects_max: int) -> None:
        assert self._walk is not None
        left_bytes, left_entries = PAGE_PATH_BYTES_MAX, PAGE_ENTRIES_MAX
        for entry in self._walk.entries:
            left_entries -= 1
            if entry.entered:
                continue  # No place to go on from: what is in it has not been seen.
            page.cursor = quote_from_bytes(entry.path)
            if entry.why:
                page.skipped.add(path=self._top.shown(entry.path), reason=entry.why)
            elif entry.file is not None:
                page.objects.append(_listed(self._top.shown(entry.path), entry.file))
            left_bytes -= len(entry.path) if entry.why or entry.file else 0
            full = len(page.objects) + len(page.skipped) >= objects_max
            if full or left_bytes <= 0 or left_entries <= 0:
                return
        page.last = True

    def _begin(self, cursor: str) -> None:
        self._end()
        self._walk = _Walking(self._top, self._globs, unquote_to_bytes(cursor))

    def _end(self) -> None:
        if self._walk is not None:
            self._walk.close()
            self._walk = None

    def _forget(self) -> None:
        with self._turn:
            self._end()

    def _one(self, path: bytes, etag: str, offset_bytes: int, size_bytes: int) -> bytes:
        with self._top.opened() as top_fd, beneath.Opening(top_fd, self._top.path) as opening:
            return self._read(opening, path, etag, offset_bytes, size_bytes)

    def _several(self, wanted: Sequence[task_pb2.TaskInput]) -> list[Found]:
        found: list[Found] = []
        with self._top.opened() as top_fd, beneath.Opening(top_fd, self._top.path) as opening:
            for one in wanted:
                at, size = one.range.offset_bytes, one.range.size_bytes
                try:
                    found.append(self._read(opening, one.path, one.etag, at, size))
                except SkippedObject as skipped:
                    found.append(skipped)
        return found

    def _read(
        self,
        opening: beneath.Opening,
        path: bytes,
        etag: str,
        offset_bytes: int,
        size_bytes: int,
    ) -> bytes:
        name = self._top.inside(path)
        if not self._globs.allows(name):
            raise SkippedObject(path, UNREADABLE, "it is excluded")
        try:
            fd = opening.file(name, os.O_RDONLY | os.O_NONBLOCK)
            try:
                _check(path, etag, os.fstat(fd))
                data = _read_all(fd, offset_bytes, size_bytes)
                _check(path, etag, os.fstat(fd))
            finally:
                os.close(fd)
        except OSError as error:
            raise _refused(path, error) from error
        if len(data) != size_bytes:
            raise SkippedObject(path, CHANGED, "it is shorter than it was")
        return data


class _Walking:
    """A walk and the folder that it goes over, open for as long as it goes."""

    def __init__(self, top: Top, globs: Globs, after: bytes) -> None:
        self._fd = top.open(os.O_RDONLY)
        self._walk = Walk(self._fd, top.path, globs, after)
        self.entries: Iterator[Entry] = (
            self._walk.entries() if top.only is None else self._walk.one(top.only)
        )

    def close(self) -> None:
        self._walk.close()
        os.close(self._fd)


def etag_of(seen: os.stat_result) -> str:
    return f"{seen.st_ino:x}-{seen.st_size:x}-{seen.st_mtime_ns:x}"


def _listed(path: bytes, seen: os.stat_result) -> task_pb2.ListedObject:
    return task_pb2.ListedObject(
        path=path,
        size_bytes=seen.st_size,
        etag=etag_of(seen),
        modified_unix_ms=seen.st_mtime_ns // 1_000_000,
        mode=stat.S_IMODE(seen.st_mode),
        changed_unix_ms=seen.st_ctime_ns // 1_000_000,
    )


def _check(path: bytes, etag: str, seen: os.stat_result) -> None:
    if not stat.S_ISREG(seen.st_mode):
        raise SkippedObject(path, SPECIAL)
    if etag_of(seen) != etag:
        raise SkippedObject(path, CHANGED)


def _read_all(fd: int, offset_bytes: int, size_bytes: int) -> bytes:
    """One call of the system nearly always; a few where a signal or 2 GiB come in between."""
    data = os.pread(fd, size_bytes, offset_bytes)
    while len(data) < size_bytes:
        more = os.pread(fd, size_bytes - len(data), offset_bytes + len(data))
        if not more:
            break
        data += more
    return data


def _refused(path: bytes, error: OSError) -> Exception:
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        return McError("TOO_BUSY", f"{path!r} cannot be opened now: {error}", retry_after_s=1.0)
    if isinstance(error, beneath.LeadsOut):
        return SkippedObject(path, LINK)
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return SkippedObject(path, GONE)
    if error.errno == errno.ELOOP:
        return SkippedObject(path, CHANGED, "it has become a link")
    return SkippedObject(path, UNREADABLE, os.strerror(error.errno or 0))
