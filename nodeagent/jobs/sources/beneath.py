"""Opens what lies beneath a folder, and nothing else: every name is opened relative to the folder
that was opened before it, so no link and no rename in between leads out.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

LINKS_MAX = 40  # As many as the kernel follows.
_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Who may pass through a folder need not be allowed to list it.
PASS = getattr(os, "O_PATH", os.O_RDONLY)


def is_inside(path: bytes) -> bool:
    """Whether it names something in a folder, in one way only and by no way around."""
    return b"\0" not in path and not any(part in (b"", b".", b"..") for part in path.split(b"/"))


class LeadsOut(OSError):
    """A link goes out of the folder, to nothing, or in a circle."""


def open_folder(top_fd: int, path: bytes, flags: int = PASS) -> int:
    """A folder beneath, through no link at all; an empty path is the top itself."""
    *above, last = path.split(b"/") if path else [b"."]
    fd = top_fd
    try:
        for name in above:
            inner = os.open(name, PASS | _FOLDER, dir_fd=fd)
            if fd != top_fd:
                os.close(fd)
            fd = inner
        return os.open(last, flags | _FOLDER, dir_fd=fd)
    finally:
        if fd != top_fd:
            os.close(fd)


@contextmanager
def folder(top_fd: int, path: bytes, flags: int = PASS) -> Iterator[int]:
    """The same for a while. To list it, name os.O_RDONLY."""
    fd = open_folder(top_fd, path, flags)
    try:
        yield fd
    finally:
        os.close(fd)


class Opening:
    """Opens files beneath one after the other: most lie in the folder of the one before, and most
    paths have no link in them, so that none is looked for until one is in the way.
    """

    def __init__(self, top_fd: int, top: bytes) -> None:
        self._top_fd, self._top = top_fd, top
        self._folder, self._folder_fd = b"", -1

    def file(self, path: bytes, flags: int) -> int:
        above, _, name = path.rpartition(b"/")
        try:
            fd = self._folder_of(above)
            return os.open(name or b".", flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            return open_file(self._top_fd, path, self._top, flags)

    def _folder_of(self, path: bytes) -> int:
        if self._folder_fd < 0 or self._folder != path:
            fd = open_folder(self._top_fd, path)
            self.__exit__()
            self._folder, self._folder_fd = path, fd
        return self._folder_fd

    def __enter__(self) -> "Opening":
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder_fd >= 0:
            os.close(self._folder_fd)
            self._folder_fd = -1


def open_file(top_fd: int, path: bytes, top: bytes, flags: int) -> int:
    """A file beneath. Links are followed while they stay beneath; `top` is the folder's own path,
    so that absolute links into it are understood.
    """
    above, _, name = resolved(top_fd, path, top).rpartition(b"/")
    with folder(top_fd, above) as fd:
        return os.open(name or b".", flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)


def stat_file(top_fd: int, path: bytes, top: bytes) -> os.stat_result:
    """Of what `open_file` would open."""
    above, _, name = resolved(top_fd, path, top).rpartition(b"/")
    with folder(top_fd, above) as fd:
        return os.stat(name or b".", dir_fd=fd, follow_symlinks=False)


def resolved(top_fd: int, path: bytes, top: bytes) -> bytes:
    """The same place without links; OSError where there is none. It may be a link again by the
    time that it is opened; opening refuses that.
    """
    done: list[bytes] = []
    todo = path.split(b"/")[::-1]
    links = 0
    while todo:
        name = todo.pop()
        if name in (b"", b"."):
            continue
        if name == b"..":
            if not done:
                raise LeadsOut(f"{path!r} leads out of its source")
            done.pop()
            continue
        target = _link(top_fd, done, name)
        if target is None:
            done.append(name)
            continue
        links += 1
        if links > LINKS_MAX:
            raise LeadsOut(f"{path!r} is a circle of links")
        if target.startswith(b"/"):
            if not (target + b"/").startswith(top.rstrip(b"/") + b"/"):
                raise LeadsOut(f"{path!r} leads out of its source")
            target, done = target[len(top.rstrip(b"/")) :], []
        todo += target.split(b"/")[::-1]
    return b"/".join(done)


def _link(top_fd: int, above: list[bytes], name: bytes) -> bytes | None:
    """Where a name links to; None when it is no link."""
    with folder(top_fd, b"/".join(above)) as fd:
        try:
            return os.readlink(name, dir_fd=fd)
        except OSError as error:
            if isinstance(error, FileNotFoundError | NotADirectoryError):
                raise
            return None  # EINVAL: it is there, and no link.
