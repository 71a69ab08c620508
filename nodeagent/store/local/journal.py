"""The file of the pins: lines are appended and synced before a pin is answered, and rewritten when
most of them have lost their meaning.
"""

import errno
import os
from collections.abc import Sequence

from nodeagent.store.local.files import Files
from nodeagent.store.local.identity import write_all, write_whole
from nodeagent.store.local.layout import Paths
from nodeagent.store.pins import Pins, replay

PIECE_BYTES = 1 << 20
REWRITE_ABOVE_BYTES = 4 << 20  # And at least twice as large as it was after the last time.


class PinJournal:
    def __init__(self, files: Files, paths: Paths) -> None:
        self._files = files
        self._paths = paths
        self._fd: int | None = None
        self._end_bytes = 0
        self._compact_bytes = 0
        self._torn = False  # Something stands behind the last good line.

    def load(self) -> tuple[Pins, int]:
        """The pins, and how many lines did not read. A journal that is not there has none."""
        data = self._read()
        self._end_bytes = self._compact_bytes = data.rfind(b"\n") + 1
        self._torn = self._end_bytes < len(data)  # The last write was cut off, and never answered.
        return replay(data[: self._end_bytes].split(b"\n"))

    def rewrite(self, pins: Pins) -> None:
        """Only what still has a meaning; the old file stands until the new one is durable."""
        data = b"".join(pins.lines())
        self._close()
        write_whole(self._files, self._paths.pins, data, self._paths.folder)
        self._end_bytes = self._compact_bytes = len(data)
        self._torn = False

    @property
    def is_long(self) -> bool:
        return self._end_bytes > max(REWRITE_ABOVE_BYTES, 2 * self._compact_bytes)

    def append(self, lines: Sequence[bytes]) -> None:
        """On stable storage when it returns. A failed sync is an error of the caller's volume."""
        if self._fd is None:
            self._fd = self._files.open(self._paths.pins, os.O_WRONLY | os.O_CREAT)
        if self._torn:
            self._cut()
        data = b"".join(lines)
        try:
            write_all(self._files, self._fd, data, self._end_bytes)
        except OSError:
            self._torn = True
            raise
        self._end_bytes += len(data)

    def _cut(self) -> None:
        """Away with what a failed write left: its lines were refused and must never count."""
        assert self._fd is not None
        self._files.truncate(self._fd, self._end_bytes)
        self._torn = False

    def sync(self) -> None:
        assert self._fd is not None
        self._files.datasync(self._fd)

    def close(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._fd is not None:
            self._files.close(self._fd)
            self._fd = None

    def _read(self) -> bytes:
        try:
            fd = self._files.open(self._paths.pins, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return b""
            raise
        try:
            pieces, offset = [], 0
            while piece := self._files.pread(fd, PIECE_BYTES, offset):
                pieces.append(piece)
                offset += len(piece)
            return b"".join(pieces)
        finally:
            self._files.close(fd)
