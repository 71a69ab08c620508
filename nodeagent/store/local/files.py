"""Every call that the local store makes to a file system, so that each can be made to fail or to be
the last before a power cut. All are synchronous and raise OSError; they run in threads.
"""

import ctypes
import errno
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from nodeagent.core.chunk.envelope import Bytes

SYNC_FILE_RANGE_WRITE = 2


class Kind(Enum):
    FILE = "file"
    FOLDER = "folder"
    OTHER = "other"  # A link, FIFO, socket or device: never opened.


@dataclass(frozen=True, slots=True)
class Stat:
    kind: Kind
    size_bytes: int
    device: int
    inode: int
    links: int
    modified_unix_s: float = 0.0  # 0: not known.


@dataclass(frozen=True, slots=True)
class Room:
    bytes_total: int
    bytes_free: int
    inodes_total: int  # 0: the file system does not count them.
    inodes_free: int


class Files(Protocol):
    def open(self, path: str, flags: int) -> int: ...
    def close(self, fd: int) -> None: ...
    def pwrite(self, fd: int, data: Bytes, offset_bytes: int) -> int: ...
    def pread(self, fd: int, size_bytes: int, offset_bytes: int) -> bytes: ...
    def allocate(self, fd: int, size_bytes: int) -> None:
        """Reserves blocks, so that a full disk shows before bytes are taken."""
        ...

    def truncate(self, fd: int, size_bytes: int) -> None: ...
    def flush_early(self, fd: int, offset_bytes: int, size_bytes: int) -> None:
        """Lets the disk begin. Promises nothing."""
        ...

    def forget(self, fd: int) -> None:
        """Lets go of what the page cache holds of it, so that it is the disk that is read next.
        Promises nothing.
        """
        ...

    def datasync(self, fd: int) -> None:
        """Bytes and size are on stable storage; once this failed, nothing about them is known."""
        ...

    def sync_folder(self, path: str) -> None:
        """The names in it are on stable storage."""
        ...

    def rename(self, old: str, new: str) -> None: ...
    def unlink(self, path: str) -> None: ...
    def mkdir(self, path: str) -> None: ...
    def names(self, path: str) -> list[str]: ...
    def stat(self, path: str) -> Stat:
        """Of the name itself: a link is not followed."""
        ...

    def stat_open(self, fd: int) -> Stat: ...
    def room(self, path: str) -> Room: ...


class RealFiles:
    def open(self, path: str, flags: int) -> int:
        return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def close(self, fd: int) -> None:
        os.close(fd)

    def pwrite(self, fd: int, data: Bytes, offset_bytes: int) -> int:
        return os.pwrite(fd, data, offset_bytes)

    def pread(self, fd: int, size_bytes: int, offset_bytes: int) -> bytes:
        return os.pread(fd, size_bytes, offset_bytes)

    def allocate(self, fd: int, size_bytes: int) -> None:
        os.posix_fallocate(fd, 0, size_bytes)

    def truncate(self, fd: int, size_bytes: int) -> None:
        os.ftruncate(fd, size_bytes)

    def flush_early(self, fd: int, offset_bytes: int, size_bytes: int) -> None:
        _sync_file_range(fd, offset_bytes, size_bytes)

    def forget(self, fd: int) -> None:
        if hasattr(os, "posix_fadvise"):
            with suppress(OSError):  # A hint that a file system may not know.
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def datasync(self, fd: int) -> None:
        os.fdatasync(fd)

    def sync_folder(self, path: str) -> None:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def mkdir(self, path: str) -> None:
        os.mkdir(path, 0o700)

    def names(self, path: str) -> list[str]:
        return os.listdir(path)

    def stat(self, path: str) -> Stat:
        return _stat(os.lstat(path))

    def stat_open(self, fd: int) -> Stat:
        return _stat(os.fstat(fd))

    def room(self, path: str) -> Room:
        found = os.statvfs(path)
        size = found.f_frsize
        return Room(found.f_blocks * size, found.f_bavail * size, found.f_files, found.f_favail)


def _stat(found: os.stat_result) -> Stat:
    kind = Kind.OTHER
    if stat.S_ISREG(found.st_mode):
        kind = Kind.FILE
    elif stat.S_ISDIR(found.st_mode):
        kind = Kind.FOLDER
    return Stat(kind, found.st_size, found.st_dev, found.st_ino, found.st_nlink, found.st_mtime)


_libc = ctypes.CDLL(None, use_errno=True)


def _sync_file_range(fd: int, offset_bytes: int, size_bytes: int) -> None:
    """Linux only, and only a hint; elsewhere the end's datasync does all."""
    call = getattr(_libc, "sync_file_range", None)
    if call is None:
        return
    offset, size = ctypes.c_int64(offset_bytes), ctypes.c_int64(size_bytes)
    if call(fd, offset, size, ctypes.c_uint(SYNC_FILE_RANGE_WRITE)) != 0:
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ESPIPE, errno.ENOSYS, errno.EPERM):
            raise OSError(code, os.strerror(code))
