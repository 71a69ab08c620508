"""Where log lines go: a bounded queue, and one thread that writes.

An event loop must not wait for whoever reads stdout. When the reader stands still, lines
beyond the bound are dropped, and how many is the first thing said afterwards.
"""

import logging
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import TextIO

LINES_MAX = 8192
FLUSH_S_MAX = 1.0  # At the end of the process; a reader that stands still must not keep it.


class LineWriter(logging.Handler):
    """A handler that never waits. `flush` does, for at most FLUSH_S_MAX."""

    def __init__(
        self, stream: TextIO, about_dropped: Callable[[int], str], lines_max: int = LINES_MAX
    ) -> None:
        super().__init__()
        self._stream = stream
        self._fd = _fd_of(stream)
        self._about_dropped = about_dropped
        self._lines_max = lines_max
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._busy = False
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 A value that cannot be shown must not end its caller.
            self.handleError(record)
            return
        with self._changed:
            if self._closed:
                return
            if len(self._lines) >= self._lines_max:
                self._dropped += 1
                return
            self._lines.append(line)
            self._changed.notify_all()

    def flush(self) -> None:
        """Waits until what was said is written."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._lines or self._busy), FLUSH_S_MAX)

    def close(self) -> None:
        self.flush()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(FLUSH_S_MAX)
        super().close()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._lines or self._closed)
                if not self._lines:
                    return
                lines, dropped = list(self._lines), self._dropped
                self._lines.clear()
                self._dropped = 0
                self._busy = True
            if dropped:
                lines.append(self._about_dropped(dropped))
            self._write(lines)

    def _write(self, lines: list[str]) -> None:
        text = "".join(f"{line}\n" for line in lines)
        try:
            if self._fd is None:
                self._stream.write(text)
            else:
                _write_all(self._fd, text.encode("utf-8", "replace"))
        except (OSError, ValueError):
            return  # Nobody reads any more, or the stream is closed: there is nowhere to say it.


def _fd_of(stream: TextIO) -> int | None:
    """Where its bytes go. Past its buffer, whose lock a blocked write would hold at exit."""
    try:
        stream.flush()
        return stream.fileno()
    except (OSError, ValueError):  # It is in memory only.
        return None


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:  # Somebody who shares it has made it so.
            select.select((), (fd,), ())
