"""A disk in memory behind the store's `Files`, which remembers every call that changes it.

What was written or named is only in the page cache until the datasync of the file, or the sync of
the folder; `tests/crash/cuts.py` makes of the log all that a power cut may leave.
"""

import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from threading import RLock

from nodeagent.core.chunk.envelope import Bytes
from nodeagent.store.local.files import Kind, Room, Stat

BLOCK_BYTES = 4096
DEVICE, ELSEWHERE = 1, 2  # The disk, and what its root is mounted on.
DIRECT = getattr(os, "O_DIRECT", 0)


@dataclass(frozen=True, slots=True)
class Tree:
    """All that is on stable storage, by paths relative to the disk's root, which is ''."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    folders: frozenset[str] = frozenset({""})


@dataclass(frozen=True, slots=True)
class Enter:
    """A new name: of a file, or of a folder (then `inode` is None)."""

    folder: str
    name: str
    inode: int | None


@dataclass(frozen=True, slots=True)
class Move:
    old_folder: str
    old_name: str
    folder: str
    name: str
    inode: int
    replaced: int | None


@dataclass(frozen=True, slots=True)
class Leave:
    folder: str
    name: str
    inode: int


@dataclass(frozen=True, slots=True)
class Write:
    inode: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Resize:
    inode: int
    size: int
    grow_only: bool  # Room that was allocated never makes a file shorter.


@dataclass(frozen=True, slots=True)
class DataSync:
    inode: int
    ok: bool


@dataclass(frozen=True, slots=True)
class FolderSync:
    folder: str
    ok: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """Not of the disk: what the store's caller asked or was told at this moment."""

    fact: object


Op = Enter | Move | Leave | Write | Resize | DataSync | FolderSync | Mark


@dataclass(slots=True)
class _Opened:
    inode: int
    writable: bool
    direct: bool


class Disk:
    """Implements `Files` for the paths below `root`. Descriptors are numbers of its own."""

    def __init__(self, root: str, tree: Tree | None = None, bytes_total: int = 1 << 40) -> None:
        self.root = root.rstrip("/")
        self.base = tree or Tree()
        self.log: list[Op] = []
        self.complaints: list[str] = []  # What no store may do, on any disk.
        self._lock = RLock()
        self._bytes_total = bytes_total
        self._data: dict[int, bytearray] = {}
        self._folders: dict[str, dict[str, int | None]] = {f: {} for f in self.base.folders}
        self._opened: dict[int, _Opened] = {}
        self._next_fd = 1000
        self._failed: set[int] = set()  # Inodes whose datasync failed once.
        for folder in self.base.folders - {""}:
            parent, name = split(folder)
            self._folders[parent][name] = None
        # The same numbers as `cuts.base_inodes` gives them.
        for inode, (path, data) in enumerate(sorted(self.base.files.items())):
            parent, name = split(path)
            self._folders[parent][name] = inode
            self._data[inode] = bytearray(data)

    def mark(self, fact: object) -> None:
        with self._lock:
            self.log.append(Mark(fact))

    def open_fds(self) -> int:
        return len(self._opened)

    def files_now(self) -> dict[str, bytes]:
        """What processes see, power or not."""
        with self._lock:
            return {
                f"{folder}/{name}".lstrip("/"): bytes(self._data[inode])
                for folder, names in self._folders.items()
                for name, inode in names.items()
                if inode is not None
            }

    def folders_now(self) -> frozenset[str]:
        with self._lock:
            return frozenset(self._folders)

    def fail_datasync(self, fd: int, code: int) -> None:
        """As Linux does it: the pages are clean from now on, whether they were written or not."""
        with self._lock:
            inode = self._file(fd).inode
            self._check_failed(inode)
            self._failed.add(inode)
            self.log.append(DataSync(inode, ok=False))
        raise OSError(code, os.strerror(code))

    def fail_sync_folder(self, path: str, code: int) -> None:
        with self._lock:
            self.log.append(FolderSync(self._of(path), ok=False))
        raise OSError(code, os.strerror(code))

    # --- Files ---

    def open(self, path: str, flags: int) -> int:
        with self._lock:
            folder, name = split(self._of(path))
            names = self._names(folder)
            if name not in names:
                if not flags & os.O_CREAT:
                    raise _error(errno.ENOENT, path)
                names[name] = len(self._data)
                self._data[len(self._data)] = bytearray()
                self.log.append(Enter(folder, name, names[name]))
            elif flags & os.O_CREAT and flags & os.O_EXCL:
                raise _error(errno.EEXIST, path)
            inode = names[name]
            if inode is None:
                raise _error(errno.EISDIR, path)
            writable = bool(flags & (os.O_WRONLY | os.O_RDWR))
            self._next_fd += 1
            self._opened[self._next_fd] = _Opened(inode, writable, bool(flags & DIRECT))
            if flags & os.O_TRUNC and writable:
                self.truncate(self._next_fd, 0)
            return self._next_fd

    def close(self, fd: int) -> None:
        with self._lock:
            self._file(fd)
            del self._opened[fd]

    def pwrite(self, fd: int, data: Bytes, offset_bytes: int) -> int:
        with self._lock:
            opened, took = self._writable(fd), bytes(data)
            if opened.direct and (len(took) % 512 or offset_bytes % 512):
                raise _error(errno.EINVAL, "an unaligned direct write")
            held = self._data[opened.inode]
            held.extend(bytes(max(0, offset_bytes - len(held))))
            held[offset_bytes : offset_bytes + len(took)] = took
            if took:
                self.log.append(Write(opened.inode, offset_bytes, took))
            return len(took)

    def pread(self, fd: int, size_bytes: int, offset_bytes: int) -> bytes:
        with self._lock:
            held = self._data[self._file(fd).inode]
            return bytes(held[offset_bytes : offset_bytes + size_bytes])

    def allocate(self, fd: int, size_bytes: int) -> None:
        with self._lock:
            inode = self._writable(fd).inode
            self._data[inode].extend(bytes(max(0, size_bytes - len(self._data[inode]))))
            self.log.append(Resize(inode, size_bytes, grow_only=True))

    def truncate(self, fd: int, size_bytes: int) -> None:
        with self._lock:
            inode = self._writable(fd).inode
            held = self._data[inode]
            del held[size_bytes:]
            held.extend(bytes(size_bytes - len(held)))
            self.log.append(Resize(inode, size_bytes, grow_only=False))

    def flush_early(self, fd: int, offset_bytes: int, size_bytes: int) -> None:
        self._file(fd)

    def forget(self, fd: int) -> None:
        self._file(fd)

    def datasync(self, fd: int) -> None:
        with self._lock:
            inode = self._file(fd).inode
            self._check_failed(inode)
            self.log.append(DataSync(inode, ok=True))

    def sync_folder(self, path: str) -> None:
        with self._lock:
            folder = self._of(path)
            self._names(folder)
            self.log.append(FolderSync(folder, ok=True))

    def rename(self, old: str, new: str) -> None:
        with self._lock:
            (old_folder, old_name), (folder, name) = split(self._of(old)), split(self._of(new))
            inode = self._entry(old_folder, old_name)
            if inode is None or self._names(folder).get(name, 0) is None:
                raise _error(errno.EISDIR, new)
            if (old_folder, old_name) == (folder, name):
                return
            del self._folders[old_folder][old_name]
            replaced = self._folders[folder].get(name)
            self._folders[folder][name] = inode
            self.log.append(Move(old_folder, old_name, folder, name, inode, replaced))

    def unlink(self, path: str) -> None:
        with self._lock:
            folder, name = split(self._of(path))
            inode = self._entry(folder, name)
            if inode is None:
                raise _error(errno.EISDIR, path)
            del self._folders[folder][name]
            self.log.append(Leave(folder, name, inode))

    def mkdir(self, path: str) -> None:
        with self._lock:
            made = self._of(path)
            folder, name = split(made)
            if made in self._folders or name in self._names(folder):
                raise _error(errno.EEXIST, path)
            self._folders[folder][name] = None
            self._folders[made] = {}
            self.log.append(Enter(folder, name, None))

    def names(self, path: str) -> list[str]:
        with self._lock:
            return sorted(self._names(self._of(path)))

    def stat(self, path: str) -> Stat:
        if self.root.startswith(path.rstrip("/") + "/"):
            return Stat(Kind.FOLDER, 0, ELSEWHERE, 0, 2)
        with self._lock:
            whole = self._of(path)
            if whole in self._folders:
                return Stat(Kind.FOLDER, 0, DEVICE, 0, 2)
            inode = self._entry(*split(whole))
            assert inode is not None
            return Stat(Kind.FILE, len(self._data[inode]), DEVICE, inode + 1, 1)

    def stat_open(self, fd: int) -> Stat:
        with self._lock:
            inode = self._file(fd).inode
            named = any(inode in names.values() for names in self._folders.values())
            return Stat(Kind.FILE, len(self._data[inode]), DEVICE, inode + 1, int(named))

    def room(self, path: str) -> Room:
        with self._lock:
            used = sum(map(len, self._data.values()))
            free = max(0, self._bytes_total - used)
            return Room(self._bytes_total, free, 1 << 20, 1 << 19)

    # --- within ---

    def _of(self, path: str) -> str:
        if path != self.root and not path.startswith(self.root + "/"):
            raise _error(errno.ENOENT, path)
        return path[len(self.root) + 1 :].rstrip("/")

    def _names(self, folder: str) -> dict[str, int | None]:
        if folder not in self._folders:
            raise _error(errno.ENOENT, folder)
        return self._folders[folder]

    def _entry(self, folder: str, name: str) -> int | None:
        names = self._names(folder)
        if name not in names:
            raise _error(errno.ENOENT, f"{folder}/{name}")
        return names[name]

    def _file(self, fd: int) -> _Opened:
        if fd not in self._opened:
            raise _error(errno.EBADF, str(fd))
        return self._opened[fd]

    def _writable(self, fd: int) -> _Opened:
        if not self._file(fd).writable:
            raise _error(errno.EBADF, f"{fd} is open for reading")
        return self._opened[fd]

    def _check_failed(self, inode: int) -> None:
        if inode in self._failed:
            self.complaints.append("a datasync that failed was tried again")


def split(path: str) -> tuple[str, str]:
    """Folder and name."""
    folder, _, name = path.rpartition("/")
    return folder, name


def base_inodes(tree: Tree) -> Iterator[tuple[int, str]]:
    """The numbers that a disk gives to the files that it begins with."""
    return enumerate(sorted(tree.files))


def _error(code: int, what: str) -> OSError:
    return OSError(code, os.strerror(code), what)
