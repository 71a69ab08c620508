"""`Files` around other `Files`: every call passes one place, where it can be counted, made to fail,
be the last, or be done wrongly.
"""

import os
from collections.abc import Callable
from typing import TypeVar

from nodeagent.core.chunk.envelope import Bytes
from nodeagent.store.local.files import Files, Room, Stat

T = TypeVar("T")


class Around:
    def __init__(self, inner: Files) -> None:
        self.inner = inner

    def call(self, name: str, run: Callable[[], T]) -> T:
        """Every call comes through here; `create` is an open that may make the file."""
        return run()

    def open(self, path: str, flags: int) -> int:
        name = "create" if flags & os.O_CREAT else "open"
        return self.call(name, lambda: self.inner.open(path, flags))

    def close(self, fd: int) -> None:
        self.call("close", lambda: self.inner.close(fd))

    def pwrite(self, fd: int, data: Bytes, offset_bytes: int) -> int:
        return self.call("pwrite", lambda: self.inner.pwrite(fd, data, offset_bytes))

    def pread(self, fd: int, size_bytes: int, offset_bytes: int) -> bytes:
        return self.call("pread", lambda: self.inner.pread(fd, size_bytes, offset_bytes))

    def allocate(self, fd: int, size_bytes: int) -> None:
        self.call("allocate", lambda: self.inner.allocate(fd, size_bytes))

    def truncate(self, fd: int, size_bytes: int) -> None:
        self.call("truncate", lambda: self.inner.truncate(fd, size_bytes))

    def flush_early(self, fd: int, offset_bytes: int, size_bytes: int) -> None:
        self.call("flush_early", lambda: self.inner.flush_early(fd, offset_bytes, size_bytes))

    def forget(self, fd: int) -> None:
        self.call("forget", lambda: self.inner.forget(fd))

    def datasync(self, fd: int) -> None:
        self.call("datasync", lambda: self.inner.datasync(fd))

    def sync_folder(self, path: str) -> None:
        self.call("sync_folder", lambda: self.inner.sync_folder(path))

    def rename(self, old: str, new: str) -> None:
        self.call("rename", lambda: self.inner.rename(old, new))

    def unlink(self, path: str) -> None:
        self.call("unlink", lambda: self.inner.unlink(path))

    def mkdir(self, path: str) -> None:
        self.call("mkdir", lambda: self.inner.mkdir(path))

    def names(self, path: str) -> list[str]:
        return self.call("names", lambda: self.inner.names(path))

    def stat(self, path: str) -> Stat:
        return self.call("stat", lambda: self.inner.stat(path))

    def stat_open(self, fd: int) -> Stat:
        return self.call("stat_open", lambda: self.inner.stat_open(fd))

    def room(self, path: str) -> Room:
        return self.call("room", lambda: self.inner.room(path))
