"""One direction of one connection: bytes read on one side, delivered on the other when due.

What is kept is bounded: a full flow stops reading. A cut path or a frozen flow delivers
nothing and loses nothing.
"""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from enum import Enum

from mcctl.dev.path import Path

KEPT_BYTES_MAX = 16 << 20  # Per direction; at 75 ms one way that is still 200 MiB/s.
SINK_BYTES_MAX = 1 << 20  # What the operating system has not taken yet.
# The event loop rounds its sleep up to a whole millisecond: half of it early is right on average.
EARLY_S = 0.0005
_LINGER_NONE = struct.pack("ii", 1, 0)


class End(Enum):
    """How a side ended: it will send no more, or it is gone."""

    CLOSED = "closed"
    RESET = "reset"


class Flow:
    def __init__(self, path: Path, finished: Callable[["Flow"], None]) -> None:
        self.path = path
        self.frozen = False
        self.not_before_s = 0.0  # The handshake takes its time, too.
        self.ended = False  # The end of the source has reached the sink.
        self._finished = finished
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[float, bytes | End]] = deque()
        self._kept_bytes = 0
        self._source: asyncio.Transport | None = None
        self._sink: asyncio.Transport | None = None
        self._sink_full = False
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None
        path.join(self)

    def reads_from(self, source: asyncio.Transport) -> None:
        self._source = source

    def writes_to(self, sink: asyncio.Transport) -> None:
        sink.set_write_buffer_limits(high=SINK_BYTES_MAX)
        self._sink = sink
        self.wake()

    def feed(self, data: bytes) -> None:
        if self._passes_at_once() and self._sink:
            self._sink.write(data)
            return
        slice_bytes = self.path.slice_bytes() or len(data)
        for start in range(0, len(data), slice_bytes):
            self._put(data[start : start + slice_bytes])

    def feed_end(self, end: End) -> None:
        """What was read before is delivered first."""
        if self._queue and isinstance(self._queue[-1][1], End):
            self._queue.pop()  # A reset after a close is a reset.
        self._put(end)

    def sink_full(self, full: bool) -> None:
        self._sink_full = full
        if full:
            self._pace_source()
        else:
            self.wake()

    def wake(self) -> None:
        """Delivers what is due and may pass; called whenever something has changed."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        while self._queue and not self._held():
            due_s, item = self._queue[0]
            if due_s - EARLY_S > self._loop.time():
                self._timer = self._loop.call_at(due_s - EARLY_S, self.wake)
                break
            self._queue.popleft()
            self._deliver(item)
        self._pace_source()

    def close(self) -> None:
        """Forgets everything; nobody is left to deliver to."""
        self.path.leave(self)
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._queue.clear()
        self._source = self._sink = None

    def _put(self, item: bytes | End) -> None:
        size_bytes = len(item) if isinstance(item, bytes) else 0
        due_s = self.path.due_s(size_bytes, self._loop.time())
        last_s = self._queue[-1][0] if self._queue else self.not_before_s
        self._queue.append((max(due_s, last_s), item))  # A shorter delay overtakes nothing.
        self._kept_bytes += size_bytes
        if self._timer is None:
            self.wake()
        else:
            self._pace_source()

    def _passes_at_once(self) -> bool:
        idle = not self._queue and not self._held()
        return idle and self.path.direct and self._loop.time() >= self.not_before_s

    def _held(self) -> bool:
        return self._sink is None or self._sink_full or self.frozen or self.path.cut

    def _deliver(self, item: bytes | End) -> None:
        assert self._sink is not None
        if isinstance(item, bytes):
            self._kept_bytes -= len(item)
            if not self._sink.is_closing():
                self._sink.write(item)
            return
        self.ended = True
        if item is End.RESET:
            reset(self._sink)
        elif self._sink.can_write_eof() and not self._sink.is_closing():
            try:
                self._sink.write_eof()
            except OSError:  # Whoever was there has left, and answers with RST to what we wrote.
                self._sink.abort()
        self._finished(self)

    def _pace_source(self) -> None:
        full = self._sink_full or self._kept_bytes > KEPT_BYTES_MAX
        if full == self._paused or self._source is None or self._source.is_closing():
            return
        self._paused = full
        if full:
            self._source.pause_reading()
        elif self._kept_bytes <= KEPT_BYTES_MAX // 2 or not self._queue:
            self._source.resume_reading()
        else:
            self._paused = True  # Not yet: half of it must have gone first.


def reset(transport: asyncio.Transport) -> None:
    """Ends a connection with RST, as a machine does that has lost it."""
    raw = transport.get_extra_info("socket")
    if raw is not None and not transport.is_closing():
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
    transport.abort()
