"""Makes one call of `Files` fail, the n-th of those that count; and counts them."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from threading import Lock
from time import sleep
from typing import TypeVar

from nodeagent.core.chunk.envelope import Bytes
from tests.crash.around import Around
from tests.crash.disk import Disk

T = TypeVar("T")
SECTOR_BYTES = 512


class Kind(Enum):
    EIO = errno.EIO
    ENOSPC = errno.ENOSPC
    SHORT = 0  # A write that takes less than it was given, once.
    FILLS = -errno.ENOSPC  # The same, and the next write gets no room: how a disk becomes full.

    def fits(self, call: str) -> bool:
        """Close counts, and never fails: Linux lets go of the descriptor whatever it answers."""
        if self in (Kind.SHORT, Kind.FILLS):
            return call == "pwrite"
        return call in TAKES_ROOM if self is Kind.ENOSPC else call != "close"


# A full disk shows where room is taken, on some file systems as late as at the sync.
TAKES_ROOM = frozenset(
    ("create", "pwrite", "allocate", "rename", "mkdir", "datasync", "sync_folder")
)


@dataclass(frozen=True, slots=True)
class Fault:
    at: int  # The number of the call, from 1.
    kind: Kind


class Faulty(Around):
    """Over a modelled disk. Calls count while it is armed."""

    def __init__(self, disk: Disk, fault: Fault | None = None, slow_s: float = 0.0) -> None:
        super().__init__(disk)
        self._disk = disk
        self._fault = fault
        self._slow_s = slow_s  # For a folder's sync: meanwhile others come to wait.
        self._armed = False
        self._lock = Lock()
        self.calls: list[str] = []
        self._full = False
        self.hit = ""  # The call that failed.

    @property
    def failed_sync(self) -> bool:
        return self.hit in ("datasync", "sync_folder")

    def arm(self, on: bool = True) -> None:
        self._armed = on

    def call(self, name: str, run: Callable[[], T]) -> T:
        kind = self._due(name)
        if kind is not None:
            raise OSError(kind.value, os.strerror(kind.value))
        return run()

    def pwrite(self, fd: int, data: Bytes, offset_bytes: int) -> int:
        def run() -> int:
            return self._disk.pwrite(fd, data, offset_bytes)

        if self._fault is None or self._fault.kind not in (Kind.SHORT, Kind.FILLS):
            return self.call("pwrite", run)
        if self._full:
            self._full = False
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self._due("pwrite") is None:
            return run()
        self._full = self._fault.kind is Kind.FILLS
        half = len(data) // 2
        if len(data) % SECTOR_BYTES == 0:  # Perhaps a direct write: on a border that it allows.
            half = half // SECTOR_BYTES * SECTOR_BYTES
        return self._disk.pwrite(fd, memoryview(data)[:half], offset_bytes)

    def datasync(self, fd: int) -> None:
        kind = self._due("datasync")
        if kind is None:
            return self._disk.datasync(fd)
        return self._disk.fail_datasync(fd, kind.value)

    def sync_folder(self, path: str) -> None:
        sleep(self._slow_s)
        kind = self._due("sync_folder")
        if kind is None:
            return self._disk.sync_folder(path)
        return self._disk.fail_sync_folder(path, kind.value)

    def _due(self, call: str) -> Kind | None:
        """The kind of failure, when this call is the one."""
        with self._lock:
            if not self._armed:
                return None
            self.calls.append(call)
            fault = self._fault
            if fault is None or len(self.calls) != fault.at or not fault.kind.fits(call):
                return None
            self.hit = call
            return fault.kind
