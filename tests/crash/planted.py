"""Bugs planted around or in the local store, one small lie each; the points must find them.

Most are the store's own calls done wrongly on their way to the disk, so none depends on how the
store is written.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from nodeagent.core.chunk.envelope import Bytes
from nodeagent.store.local.files import Files
from tests.crash.around import Around

CUTS, FAULTS = "power cuts", "faults"
Wrap = Callable[[Files], Files]


@dataclass(frozen=True, slots=True)
class Bug:
    name: str
    files: Wrap
    scene: str  # Where it shows.
    by: str = CUTS


def sound(files: Files) -> Files:
    """No bug."""
    return files


class _Named(Around):
    """Knows which path a descriptor was opened by."""

    def __init__(self, inner: Files) -> None:
        super().__init__(inner)
        self.paths: dict[int, str] = {}

    def open(self, path: str, flags: int) -> int:
        fd = super().open(path, flags)
        self.paths[fd] = path
        return fd

    def is_in(self, fd: int, part: str) -> bool:
        return part in self.paths.get(fd, "")


class NoFolderSync(Around):
    def sync_folder(self, path: str) -> None:
        """Says that it did."""


class OtherFolderSync(Around):
    def sync_folder(self, path: str) -> None:
        super().sync_folder(os.path.dirname(path) if "/chunks/" in path else path)


class LateFolderSync(Around):
    """The answer goes out first; the folder is synced when the next one is."""

    due = ""

    def sync_folder(self, path: str) -> None:
        if self.due:
            super().sync_folder(self.due)
        self.due = path


class FolderSyncFailureIgnored(Around):
    def sync_folder(self, path: str) -> None:
        try:
            super().sync_folder(path)
        except OSError:
            return


class NoDatasync(_Named):
    def datasync(self, fd: int) -> None:
        if not self.is_in(fd, "/tmp/"):
            super().datasync(fd)


class DatasyncAfterRename(_Named):
    def __init__(self, inner: Files) -> None:
        super().__init__(inner)
        self.due: set[str] = set()

    def datasync(self, fd: int) -> None:
        if self.is_in(fd, "/tmp/"):
            self.due.add(self.paths[fd])
        else:
            super().datasync(fd)

    def rename(self, old: str, new: str) -> None:
        super().rename(old, new)
        if old in self.due:
            fd = super().open(new, os.O_RDONLY)
            super().datasync(fd)
            super().close(fd)


class AckBeforeDatasync(DatasyncAfterRename):
    """It is done, after the folder's sync and the answer: with the next chunk."""

    def rename(self, old: str, new: str) -> None:
        Around.rename(self, old, new)


class DatasyncRetried(Around):
    def datasync(self, fd: int) -> None:
        try:
            super().datasync(fd)
        except OSError:
            super().datasync(fd)


class DatasyncFailureIgnored(Around):
    def datasync(self, fd: int) -> None:
        try:
            super().datasync(fd)
        except OSError:
            return


class PinsNotSynced(_Named):
    def datasync(self, fd: int) -> None:
        if not self.is_in(fd, "pins"):
            super().datasync(fd)


class PinsRewrittenUnsynced(_Named):
    """A new journal takes the old one's name before its bytes are on disk."""

    def datasync(self, fd: int) -> None:
        if not self.is_in(fd, "pins.journal.new"):
            super().datasync(fd)


class PinsRewrittenInPlace(Around):
    """The old journal is gone before the new one is there."""

    def open(self, path: str, flags: int) -> int:
        return super().open(path.replace("pins.journal.new", "pins.journal"), flags)

    def rename(self, old: str, new: str) -> None:
        if "pins.journal.new" not in old:
            super().rename(old, new)


class TrashByUnlink(Around):
    def rename(self, old: str, new: str) -> None:
        if "/trash/" in new:
            super().unlink(old)
        else:
            super().rename(old, new)


class QuarantineByUnlink(Around):
    def rename(self, old: str, new: str) -> None:
        if "/quarantine/" in new:
            super().unlink(old)
        else:
            super().rename(old, new)


class PurgeTakesTheLiving(Around):
    """Whatever is unlinked from the trash is unlinked from its shelf too."""

    def unlink(self, path: str) -> None:
        super().unlink(path)
        if "/trash/" in path:
            root = str(PurePosixPath(path).parents[1])
            for shelf in super().names(f"{root}/chunks"):
                for name in super().names(f"{root}/chunks/{shelf}"):
                    if name[:64] in path:
                        super().unlink(f"{root}/chunks/{shelf}/{name}")


class TrashEmptiedByPut(Around):
    """To make room: before the new file has its name."""

    def rename(self, old: str, new: str) -> None:
        if "/tmp/" in old and "/chunks/" in new:
            trash = f"{PurePosixPath(new).parents[2]}/trash"
            for name in super().names(trash):
                super().unlink(f"{trash}/{name}")
        super().rename(old, new)


class TmpNotEmptied(Around):
    def names(self, path: str) -> list[str]:
        return [] if path.endswith("/tmp") else super().names(path)


class TailNotCut(_Named):
    def truncate(self, fd: int, size_bytes: int) -> None:
        if not self.is_in(fd, "/tmp/"):
            super().truncate(fd, size_bytes)


class ShortWriteTakenForWhole(Around):
    def pwrite(self, fd: int, data: Bytes, offset_bytes: int) -> int:
        super().pwrite(fd, data, offset_bytes)
        return len(data)


BUGS: Sequence[Bug] = (
    Bug("no folder is synced", NoFolderSync, "one put"),
    Bug("another folder is synced", OtherFolderSync, "one put"),
    Bug("acknowledged before the folder is synced", LateFolderSync, "one put"),
    Bug("a failed folder sync is ignored", FolderSyncFailureIgnored, "one put", FAULTS),
    Bug("no datasync", NoDatasync, "one put"),
    Bug("renamed before the datasync", DatasyncAfterRename, "one put"),
    Bug("acknowledged before the datasync", AckBeforeDatasync, "three puts in one group"),
    Bug("a failed datasync is tried again", DatasyncRetried, "one put", FAULTS),
    Bug("a failed datasync is ignored", DatasyncFailureIgnored, "one put", FAULTS),
    Bug("pins are answered before they are on disk", PinsNotSynced, "pin and unpin"),
    Bug("pins rewritten without a datasync", PinsRewrittenUnsynced, "a journal written anew"),
    Bug("pins rewritten in place", PinsRewrittenInPlace, "a journal written anew"),
    Bug("trash is an unlink", TrashByUnlink, "put and trash"),
    Bug("quarantine is an unlink", QuarantineByUnlink, "put over damage"),
    Bug("a purge takes the living", PurgeTakesTheLiving, "put over trash, then a late purge"),
    Bug("a put empties the trash first", TrashEmptiedByPut, "put over trash"),
    Bug("tmp is not emptied", TmpNotEmptied, "one put"),
    Bug("the tail of a direct write stays", TailNotCut, "one put"),
    Bug("a short write is taken for whole", ShortWriteTakenForWhole, "one put", FAULTS),
)
