"""What an error of the operating system says about a volume, decided in one place."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum


class Blame(Enum):
    FULL = "full"  # This call got no room; the next may.
    READ_ONLY = "read only"
    BUSY = "busy"  # The process is short of something; the disk is not to blame.
    GONE = "gone"  # No such name.
    FORBIDDEN = "forbidden"  # This file, by its rights or its kind.
    BROKEN = "broken"  # The disk.


_BY_CODE = {
    errno.ENOSPC: Blame.FULL,
    errno.EDQUOT: Blame.FULL,
    errno.EROFS: Blame.READ_ONLY,
    errno.EMFILE: Blame.BUSY,
    errno.ENFILE: Blame.BUSY,
    errno.ENOMEM: Blame.BUSY,
    errno.ENOENT: Blame.GONE,
    errno.EACCES: Blame.FORBIDDEN,
    errno.EPERM: Blame.FORBIDDEN,
    errno.ELOOP: Blame.FORBIDDEN,
    errno.EISDIR: Blame.FORBIDDEN,
    errno.ENOTDIR: Blame.FORBIDDEN,
    errno.ENXIO: Blame.FORBIDDEN,
}


class SyncFailed(OSError):
    """A sync failed, for want of room or whatever else: of its bytes or names nothing is known."""


@contextmanager
def syncing() -> Iterator[None]:
    """Around syncs whose failure is judged elsewhere, among that of other calls."""
    try:
        yield
    except OSError as error:
        raise SyncFailed(error.errno, f"a sync failed: {words(error)}") from error


def blame(error: OSError) -> Blame:
    """Whatever is not known means that the disk cannot be relied on."""
    if isinstance(error, SyncFailed):
        return Blame.BROKEN
    return _BY_CODE.get(error.errno or 0, Blame.BROKEN)


def words(error: OSError) -> str:
    return error.strerror or str(error)
