"""Puts files of a dataset into a folder: never outside of it, never over what differs unasked, and
never under its name before it is whole. It blocks: call it in a thread.
"""

import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

from multicloud.errors import McError
from multicloud.v1 import read_pb2

SUFFIX = b".mcctl-part"  # What is not whole yet; the next `get` goes on with it.
READ_BYTES = 1 << 20
_MODES = 0o777  # Nobody's dataset makes a file setuid here.


@dataclass(slots=True)
class Tree:
    folder: Path
    overwrite: bool = False
    _root: bytes = field(init=False)
    _mode: int = 0o644  # Of files whose mode nobody knows.
    _made: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        try:
            mask = os.umask(0)  # It can only be asked for by setting it.
            os.umask(mask)
            self._mode = 0o666 & ~mask
            self.folder.mkdir(parents=True, exist_ok=True)
            self._root = os.fsencode(self.folder.resolve(strict=True))
        except OSError as error:
            raise McError("USAGE", f"{self.folder} is no folder: {error.strerror}") from error

    def target(self, file: read_pb2.DatasetFile) -> "Target":
        """Where a file goes; its folder is there. FAILED when that would be outside."""
        names = file.path.split(b"/")
        if b"\0" in file.path or any(name in (b"", b".", b"..") for name in names):
            raise _refused(file.path, "its path leads out of the folder, or nowhere")
        parent = os.path.join(self._root, *names[:-1])
        if parent not in self._made:
            self._make(parent, file.path)
        return Target(os.path.join(parent, names[-1]), file, self.overwrite, self._mode)

    def _make(self, parent: bytes, path: bytes) -> None:
        try:
            os.makedirs(parent, exist_ok=True)
        except OSError as error:
            raise _refused(path, f"its folder cannot be made: {error.strerror}") from error
        if os.path.realpath(parent) != parent:
            raise _refused(path, "a link in its way leads elsewhere")
        self._made.add(parent)


class Target:
    """One file on its way."""

    def __init__(self, path: bytes, file: read_pb2.DatasetFile, overwrite: bool, mode: int) -> None:
        self._mode = mode
        self._path, self._file, self._overwrite = path, file, overwrite
        folder, name = os.path.split(path)
        self._draft = os.path.join(folder, b"." + name + SUFFIX)
        self._out = -1
        self._at_bytes = 0
        self._parts = list(file.parts)
        self._hashing = blake3()
        self._part, self._part_bytes = 0, 0

    @property
    def differs(self) -> bool:
        """Something else is there under its name."""
        return os.path.lexists(self._path) and not self._overwrite

    def is_right(self) -> bool:
        """It is there, whole, with the right bytes."""
        try:
            found = os.lstat(self._path)
        except OSError:
            return False
        if not stat.S_ISREG(found.st_mode) or found.st_size != self._file.bytes:
            return False
        if not self._file.bytes:
            return True
        return bool(self._parts) and self._right_bytes(self._path) == self._file.bytes

    def begin(self, *, anew: bool = False) -> int:
        """Opens the draft; how much of it is right and stays: none of it where it comes `anew`."""
        kept = 0 if anew else self._right_bytes(self._draft)
        if anew:
            self._part, self._part_bytes, self._hashing = 0, 0, blake3()
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._out = os.open(self._draft, flags, 0o600)
            os.ftruncate(self._out, kept)
            os.lseek(self._out, kept, os.SEEK_SET)
        except OSError as error:
            raise _refused(self._file.path, f"it cannot be written: {error.strerror}") from error
        self._at_bytes = kept
        return kept

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._out, view) :]
        except OSError as error:
            raise _refused(self._file.path, f"it cannot be written: {error.strerror}") from error
        self._check(data)
        self._at_bytes += len(data)

    def _check(self, data: bytes) -> None:
        """Each part by its hash, once it is whole."""
        view = memoryview(data)
        while view and self._part < len(self._parts):
            part = self._parts[self._part]
            piece = view[: part.size_bytes - self._part_bytes]
            self._hashing.update(piece)
            self._part_bytes += len(piece)
            view = view[len(piece) :]
            if self._part_bytes == part.size_bytes:
                if part.blake3 and self._hashing.digest() != part.blake3:
                    raise McError("DAMAGE", f"{_shown(self._file.path)} came with other bytes")
                self._part, self._part_bytes, self._hashing = self._part + 1, 0, blake3()

    def finish(self) -> None:
        """It is whole: it gets its mode, its time and its name."""
        if self._at_bytes != self._file.bytes:
            said = f"{_shown(self._file.path)} ended at {self._at_bytes} of {self._file.bytes}"
            raise McError("DAMAGE", said)
        try:
            self.dress(self._draft)
            os.replace(self._draft, self._path)
        except OSError as error:
            raise _refused(self._file.path, f"it cannot be kept: {error.strerror}") from error

    def dress(self, path: bytes = b"") -> None:
        """Its mode and time, where the dataset knows them."""
        with suppress(PermissionError):  # Somebody else's file, whose bytes are right.
            mode = stat.S_IMODE(self._file.mode) & _MODES
            os.chmod(path or self._path, mode or self._mode)
            if self._file.modified_unix_ms:
                modified_ns = self._file.modified_unix_ms * 1_000_000
                os.utime(path or self._path, ns=(modified_ns, modified_ns))

    def close(self) -> None:
        if self._out >= 0:
            os.close(self._out)
            self._out = -1

    def _right_bytes(self, path: bytes) -> int:
        """How far the file is right, in whole parts; what comes next is then hashed anew."""
        self._part, self._part_bytes, self._hashing = 0, 0, blake3()
        kept = 0
        try:
            with open(path, "rb", opener=_opened) as file:
                for part in self._parts:
                    if not part.blake3 or _hash(file, part.size_bytes) != part.blake3:
                        break
                    kept += part.size_bytes
                    self._part += 1
        except OSError:
            self._part = 0
            return 0
        return kept


def _opened(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


def _hash(file: BinaryIO, size_bytes: int) -> bytes:
    digest, left = blake3(), size_bytes
    while left:
        data = file.read(min(left, READ_BYTES))
        if not data:
            return b""
        digest.update(data)
        left -= len(data)
    return digest.digest()


def _refused(path: bytes, why: str) -> McError:
    return McError("FAILED", f"{_shown(path)}: {why}", next="leave it out with --exclude")


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
