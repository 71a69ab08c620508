"""Walks a folder in an order that stays, from any place in it, with bounded memory.

Folders come in depth first, their names in the order of bytes. A place is the path of the last
entry that was given; whatever follows it is found again, by this walk or by a new one.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from nodeagent.jobs.contract import GONE, LINK, SPECIAL, UNREADABLE
from nodeagent.jobs.sources import beneath
from nodeagent.jobs.sources.globs import Globs

NAMES_MAX = 100_000  # Of one folder at once; a larger one is read again for the next ones.
DEPTH_MAX = 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that a walk came by: a file; or what cannot be taken, and why; or a folder that is
    entered; or, with none of these, something that was excluded.
    """

    path: bytes
    file: os.stat_result | None = None
    why: str = ""
    entered: bool = False


class Walk:
    """Blocking; one thread at a time."""

    def __init__(
        self, top_fd: int, top: bytes, globs: Globs, after: bytes = b"", names_max: int = NAMES_MAX
    ) -> None:
        self._top_fd, self._top = top_fd, top
        self._globs = globs
        self._place = after.split(b"/") if after else []
        self._names_max = names_max
        self._here, self._here_fd = b"", -1

    def entries(self) -> Iterator[Entry]:
        """Those after the place. Raises OSError only when the top itself cannot be read."""
        place = self._place
        frames = [self._names(b"", place[:1], len(place) > 1)]
        while frames:
            found = next(frames[-1], None)
            if found is None:
                frames.pop()
                continue
            yield found
            if not found.entered:
                continue
            # On the way back to the place, folders are entered in their middle.
            depth = len(frames)
            rest = place[depth:] if found.path.split(b"/") == place[:depth] else []
            frames.append(self._folder(found.path, rest[:1], len(rest) > 1, depth))

    def one(self, name: bytes) -> Iterator[Entry]:
        """One file of the top alone."""
        if [name] != self._place:
            yield self._entry(b"", name)

    def close(self) -> None:
        if self._here_fd >= 0:
            os.close(self._here_fd)
            self._here_fd = -1

    def _folder(self, path: bytes, after: list[bytes], into: bool, depth: int) -> Iterator[Entry]:
        if depth > DEPTH_MAX:
            yield Entry(path, why=UNREADABLE)
            return
        try:
            yield from self._names(path, after, into)
        except OSError as error:
            yield Entry(path, why=_why(error))

    def _names(self, path: bytes, after: list[bytes], into: bool) -> Iterator[Entry]:
        """The entries of a folder behind a name; that name too when the place is inside of it."""
        more = True
        while more:
            with beneath.folder(self._top_fd, path, os.O_RDONLY) as fd:
                names, more = self._sorted(fd, after, into)
            for name in names:
                yield self._entry(path, name)
            after, into = names[-1:], False

    def _sorted(self, fd: int, place: list[bytes], into: bool) -> tuple[list[bytes], bool]:
        """The first names behind one, and whether there are more of them."""
        most = self._names_max
        after = place[0] if place else b""
        names: list[bytes] = []
        last: bytes | None = None  # Names behind it are for another time.
        with os.scandir(fd) as found:
            for each in found:
                name = os.fsencode(each.name)
                if name < after or (name == after and not into) or (last and name > last):
                    continue
                names.append(name)
                if len(names) >= 2 * most:
                    names.sort()
                    del names[most:]
                    last = names[-1]
        names.sort()
        more = last is not None or len(names) > most
        return names[:most], more

    def _entry(self, folder: bytes, name: bytes) -> Entry:
        path = folder + b"/" + name if folder else name
        if self._globs.shuts(path):
            return Entry(path)
        try:
            seen = os.stat(name, dir_fd=self._fd_of(folder), follow_symlinks=False)
            if stat.S_ISDIR(seen.st_mode):
                return Entry(path, entered=True)
            if not self._globs.takes(path):
                return Entry(path)
            if stat.S_ISLNK(seen.st_mode):
                return self._linked(path)
        except OSError as error:
            return Entry(path, why=_why(error) if self._globs.takes(path) else "")
        if not stat.S_ISREG(seen.st_mode):
            return Entry(path, why=SPECIAL)
        return Entry(path, seen)

    def _fd_of(self, folder: bytes) -> int:
        """The one folder that is kept open: most entries are of the same as the one before."""
        if self._here_fd < 0 or self._here != folder:
            self.close()
            self._here_fd = beneath.open_folder(self._top_fd, folder)
            self._here = folder
        return self._here_fd

    def _linked(self, path: bytes) -> Entry:
        """A link to a file of the source is that file. What a link to a folder leads to is listed
        where it stands, or not ours: so there are no circles.
        """
        try:
            seen = beneath.stat_file(self._top_fd, path, self._top)
        except OSError:
            return Entry(path, why=LINK)
        return Entry(path, seen) if stat.S_ISREG(seen.st_mode) else Entry(path, why=LINK)


def _why(error: OSError) -> str:
    return GONE if isinstance(error, FileNotFoundError | NotADirectoryError) else UNREADABLE
