"""Where a source of files stands: its folder, and the one file in it when the source is a file."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from multicloud.errors import McError
from nodeagent.jobs.sources import beneath


@dataclass(frozen=True, slots=True)
class Top:
    """Opened anew for every read: a folder that was put there instead is read as it is then, under
    other etags.
    """

    root: bytes  # No link leads out of it.
    folder: bytes  # Beneath the root, without links; empty: the root itself.
    only: bytes | None = None  # The name of the one file that is meant.
    name: bytes = b""  # What that file was called by whoever meant it.

    @classmethod
    def find(cls, path: bytes, root: bytes | None = None) -> "Top":
        """Blocking; `path` is beneath the root, where one is given. SOURCE_AWAY when nothing is
        there, BAD_REQUEST when it is no folder and no file.
        """
        try:
            return cls._found(path, root)
        except OSError as error:
            raise _away(path, error) from error

    @classmethod
    def _found(cls, path: bytes, root: bytes | None) -> "Top":
        if root is None:
            real = os.path.realpath(path, strict=True)
            root, inner = (real, b"") if os.path.isdir(real) else os.path.split(real)
        else:
            root = os.path.realpath(root, strict=True)
            with _opened(root) as fd:
                inner = beneath.resolved(fd, path.lstrip(b"/"), root)
        with _opened(root) as fd:
            if not inner:
                return cls(root, b"")
            mode = beneath.stat_file(fd, inner, root).st_mode
        if stat.S_ISDIR(mode):
            return cls(root, inner)
        if not stat.S_ISREG(mode):
            said = f"{os.fsdecode(path)} is neither a folder nor a file"
            raise McError("BAD_REQUEST", said, next="name a folder or a file as the source")
        above, _, only = inner.rpartition(b"/")
        return cls(root, above, only, os.path.basename(path))

    @property
    def path(self) -> bytes:
        return os.path.join(self.root, self.folder) if self.folder else self.root

    def open(self, flags: int) -> int:
        try:
            with _opened(self.root) as fd:
                return beneath.open_folder(fd, self.folder, flags)
        except OSError as error:
            raise self.away(error) from error

    @contextmanager
    def opened(self) -> Iterator[int]:
        fd = self.open(beneath.PASS)
        try:
            yield fd
        finally:
            os.close(fd)

    def shown(self, path: bytes) -> bytes:
        return path if self.only is None else self.name

    def inside(self, shown: bytes) -> bytes:
        """The path of an object as it was listed; nothing else is one."""
        if not beneath.is_inside(shown) or (self.only is not None and shown != self.name):
            raise McError("BAD_REQUEST", f"{shown!r} is no object of {os.fsdecode(self.path)}")
        return shown if self.only is None else self.only

    def away(self, error: OSError) -> McError:
        return _away(self.path, error)


@contextmanager
def _opened(root: bytes) -> Iterator[int]:
    fd = os.open(root, beneath.PASS | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _away(path: bytes, error: OSError) -> McError:
    what = (
        "leads out of what may be read" if isinstance(error, beneath.LeadsOut) else error.strerror
    )
    return McError(
        "SOURCE_AWAY",
        f"the source {os.fsdecode(path)} cannot be read: {what}",
        next="mend that (is the disk mounted? may the daemon's user read it?); the job waits",
    )
