"""One put: bytes wait in a bounded queue, a thread of the volume's pool drains what is there, and
the end runs in threads alone, so that whoever asked may be cancelled and nothing stays half done.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from time import perf_counter

from multicloud.errors import McError
from nodeagent.core.chunk.envelope import Bytes, Envelope
from nodeagent.store import refusals
from nodeagent.store.contract import Committed, Pin
from nodeagent.store.local.blame import words
from nodeagent.store.local.commit import Work
from nodeagent.store.local.committer import Committer
from nodeagent.store.local.sinks import Sink
from nodeagent.store.local.volume import Volume
from nodeagent.store.local.works import Place

QUEUE_BYTES_MAX = 8 << 20


@dataclass(slots=True)
class Draft:
    """A file in tmp/, open for writing."""

    path: str
    fd: int
    sink: Sink
    file_bytes_max: int
    cut: bool  # It is longer than what is written: room was allocated, or its end is padded.
    release: Callable[[], None]  # Gives back buffers and promised room.


class LocalPut:
    def __init__(
        self,
        volume: Volume,
        committer: Committer,
        loop: asyncio.AbstractEventLoop,
        run: Callable[[Callable[[], None]], object],
        draft: Draft,
        ended: Callable[["LocalPut"], None],
    ) -> None:
        self._volume = volume
        self._committer = committer
        self._loop = loop
        self._run = run
        self._draft = draft
        self._on_end = ended
        self._trace = ""  # Of whoever commits.
        self._over: asyncio.Future[None] = loop.create_future()
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._taken_bytes = 0
        self._committed: Committed | None = None
        # Shared with the thread:
        self._lock = Lock()
        self._pieces: list[Bytes] = []
        self._queued_bytes = 0
        self._running = False
        self._error: McError | None = None
        self._last: Callable[[], None] | None = None  # How it ends, once it is told.

    async def write(self, data: Bytes) -> None:
        if self._ended:
            raise refusals.ended()
        size_bytes = memoryview(data).nbytes
        if self._taken_bytes + size_bytes > self._draft.file_bytes_max:
            raise refusals.overfull(self._draft.file_bytes_max)
        self._taken_bytes += size_bytes
        with self._lock:
            self._pieces.append(_lasting(data))
            self._queued_bytes += size_bytes
        self._wake()
        while self._queued_bytes > QUEUE_BYTES_MAX:
            self._waiter = self._loop.create_future()
            if self._queued_bytes > QUEUE_BYTES_MAX:  # The thread looks for a waiter afterwards.
                await self._waiter
        if self._error is not None:
            raise self._error

    async def commit(self, envelope: Envelope, pin: Pin | None) -> Committed:
        if self._ended:
            raise refusals.ended()
        if self._taken_bytes != envelope.file_bytes:
            await self.abort()
            taken, size = self._taken_bytes, envelope.file_bytes
            raise refusals.other_size(envelope.chunk_id, taken, size)
        self._trace = self._volume.observer.trace()
        self._end(lambda: self._finish(envelope, pin))
        await asyncio.shield(self._over)
        if self._error is not None:
            raise self._error
        assert self._committed is not None
        return self._committed

    async def abort(self) -> None:
        if not self._ended:
            self._end(self._discard)
        await asyncio.shield(self._over)

    def _end(self, last: Callable[[], None]) -> None:
        self._ended = True
        with self._lock:
            self._last = last
        self._wake()

    # --- in the pool's threads, one at a time ---

    def _wake(self) -> None:
        with self._lock:
            if self._running:
                return
            self._running = True
        self._run(self._drain)

    def _drain(self) -> None:
        while True:
            with self._lock:
                pieces, self._pieces = self._pieces, []
                last = self._last
                if not pieces and last is None:
                    self._running = False
                    return
            if not pieces and last is not None:
                self._close_with(last)
                return
            size_bytes = sum(memoryview(piece).nbytes for piece in pieces)
            if self._error is None and last != self._discard:
                self._write(pieces)
            with self._lock:
                self._queued_bytes -= size_bytes
            if self._waiter is not None:
                self._loop.call_soon_threadsafe(self._go_on)

    def _close_with(self, last: Callable[[], None]) -> None:
        try:
            last()
        except Exception as error:  # noqa: BLE001 - a defect here must hang nobody
            self._volume.condition.fail(f"a defect: {error!r}")
            self._error = McError("INTERNAL", f"the put could not be ended: {error!r}")
            self._loop.call_soon_threadsafe(self._settle)

    def _go_on(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _write(self, pieces: list[Bytes]) -> None:
        try:
            for piece in pieces:
                self._draft.sink.write(piece)
        except OSError as error:
            self._error = self._volume.condition.judge(error, "a write failed")

    def _finish(self, envelope: Envelope, pin: Pin | None) -> None:
        draft = self._draft
        try:
            if self._error is None:
                draft.sink.finish()
                if draft.cut:
                    self._volume.files.truncate(draft.fd, self._taken_bytes)
        except OSError as error:
            self._error = self._volume.condition.judge(error, "a write failed")
        if self._error is None:
            self._sync()
        if self._error is not None:
            self._discard()
            return
        self._volume.files.close(draft.fd)  # Its bytes are durable: nothing is left to fail.
        draft.release()
        place = Place(draft.path, envelope, pin, self._trace)
        self._committer.submit(place, self._placed)

    def _sync(self) -> None:
        volume, started = self._volume, perf_counter()
        with volume.observer.step(self._trace, "store.datasync", volume=volume.uuid):
            try:
                volume.condition.check_writable()
                volume.files.datasync(self._draft.fd)
            except OSError as error:
                self._error = volume.condition.fail(f"an fsync (data) failed: {words(error)}")
                return
            except McError as error:
                self._error = error
                return
        volume.observer.observe("mc.store.fsync", perf_counter() - started, what="data")

    def _discard(self) -> None:
        """Leaves nothing; on a volume that is not written any more the next start does."""
        draft, volume = self._draft, self._volume
        draft.sink.drop()
        try:
            volume.files.close(draft.fd)
            if volume.condition.is_writable:
                volume.files.unlink(draft.path)
                volume.condition.look()
        except OSError as error:
            volume.condition.judge(error, "a file in tmp/ cannot be removed")
        draft.release()
        self._loop.call_soon_threadsafe(self._settle)

    # --- in the loop ---

    def _placed(self, work: Work) -> None:
        self._error = work.error
        if work.error is None:
            self._committed = work.result
            self._volume.observer.count("mc.store.put", self._taken_bytes)
        self._settle()

    def _settle(self) -> None:
        self._on_end(self)
        if not self._over.done():
            self._over.set_result(None)


def _lasting(data: Bytes) -> Bytes:
    """What cannot change is referred to, whatever else is copied: the sender reuses buffers."""
    if isinstance(data, bytes):
        return data
    view = memoryview(data)
    return view if isinstance(view.obj, bytes) else bytes(view)
