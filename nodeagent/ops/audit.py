"""The audit log: every mutating or denied call, chained, durable before the caller goes on.

One thread writes; calls that wait at the same time share one sync. When writing fails,
`append` raises AUDIT_UNWRITABLE and `healthy` is false until writing works again; that
it failed, and what was dropped meanwhile, is itself a record.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import structlog

from identity.chain import Point, Record, line_of
from multicloud.errors import McError
from nodeagent.core.bucket import Buckets
from nodeagent.ops.audit_folder import AuditFolder, read_batches

PENDING_MAX = 4096  # Calls that wait for their record.
DENIED_PENDING_MAX = 1024  # Refusals that wait without anybody waiting for them.
IDENTITIES_MAX = 4096  # Whose refusals are counted apart.
DENIED_BURST = 20.0
TELL_DROPPED_EVERY_S = 10.0
RETRY_AFTER_S = 0.5

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Entry:
    record: Record
    done: Future[int] | None  # None: nobody waits.


def _unix_ms() -> int:
    return time.time_ns() // 1_000_000


class AuditLog:
    def __init__(
        self,
        folder: Path,
        file_bytes_max: int,
        *,
        denied_per_s: float = 5.0,
        self_uri: str = "",
        unix_ms: Callable[[], int] = _unix_ms,
        probe_every_s: float = 1.0,
    ) -> None:
        self.folder = folder
        self._disk = AuditFolder(folder, file_bytes_max)
        self._self_uri = self_uri
        self._unix_ms = unix_ms
        self._probe_every_s = probe_every_s
        self._denied = Buckets(denied_per_s, max(DENIED_BURST, denied_per_s), IDENTITIES_MAX)
        self._wake = threading.Condition()
        self._pending: list[_Entry] = []
        self._denied_pending = 0
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._opened = False
        self._own: list[Record] = []  # Records about the log itself, until they are written.
        self._head = Point()
        self._trouble = "it has not been opened yet"
        self._dropped = 0
        self._dropped_told = 0
        self._dropped_told_s = float("-inf")
        self._failing = False

    # -- State

    @property
    def healthy(self) -> bool:
        """False while nothing can be written: then nothing may be changed either."""
        return not self._trouble

    @property
    def trouble(self) -> str:
        return self._trouble

    @property
    def dropped(self) -> int:
        """Refusals that were only counted, since the start."""
        return self._dropped

    def head(self) -> Point:
        """The end of what is durable."""
        return self._head

    def limit_denied(self, denied_per_s: float) -> None:
        """After a reload."""
        burst = max(DENIED_BURST, denied_per_s)
        self._denied.reshape(denied_per_s, burst, time.monotonic())

    # -- Life

    def start(self) -> None:
        """Opens and verifies in the writer's thread: nobody waits for it but `append`."""
        assert self._thread is None
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Writes what waits, then ends; later appends are refused."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    # -- Writing

    async def append(self, record: Record) -> int:
        """The record's sequence, once it is durable. AUDIT_UNWRITABLE: it is not in the log."""
        done: Future[int] = Future()
        with self._wake:
            if self._stopping or self._thread is None:
                raise self._unwritable("it is not running")
            if len(self._pending) >= PENDING_MAX:
                raise McError(
                    "TOO_BUSY",
                    f"{PENDING_MAX} calls wait for the audit log already",
                    retry_after_s=RETRY_AFTER_S,
                )
            self._pending.append(_Entry(record, done))
            self._wake.notify()
        return await asyncio.wrap_future(done)

    def append_soon(self, record: Record) -> bool:
        """For refused calls: never waits. False when the record was only counted."""
        key = record.actor or record.peer.rpartition(":")[0]
        with self._wake:
            if (
                self._stopping
                or self._denied_pending >= DENIED_PENDING_MAX
                or self._denied.take(key, time.monotonic()) > 0
            ):
                self._dropped += 1
                if self._dropped == self._dropped_told + 1:
                    self._wake.notify()  # The writer begins to wait for the time to tell it.
                return False
            self._pending.append(_Entry(record, None))
            self._denied_pending += 1
            self._wake.notify()
        return True

    # -- Reading

    async def read(self, after_seq: int = 0) -> AsyncIterator[list[str]]:
        """Batches of lines, as they stand on the disk."""
        batches = read_batches(self.folder, after_seq)
        try:
            while batch := await asyncio.to_thread(_next_of, batches):
                yield batch
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> McError:
        return McError("DAMAGE", f"the audit log in {self.folder} cannot be read: {error}")

    # -- The writer's thread

    def _run(self) -> None:
        entries: list[_Entry] = []
        last = False
        try:
            while True:
                self._turn(entries, last)
                if last:
                    return
                entries, last = self._next_entries()
        finally:  # Even a defect leaves nobody waiting.
            self._disk.close()
            with self._wake:
                self._stopping = True
                entries, self._pending = [*entries, *self._pending], []
            self._trouble = self._trouble or "its writer has ended"
            self._refuse(entries, self._trouble)

    def _next_entries(self) -> tuple[list[_Entry], bool]:
        with self._wake:
            if not self._pending and not self._stopping:
                quiet = self.healthy and self._dropped == self._dropped_told
                self._wake.wait(None if quiet else self._probe_every_s)
            entries, self._pending = self._pending, []
            self._denied_pending = 0
            return entries, self._stopping

    def _turn(self, entries: list[_Entry], last: bool) -> None:
        try:
            if not self._opened:
                self._open()
            self._write(entries, last)
        except OSError as error:
            self._failed(error)
            self._refuse(entries, str(error))
            entries.clear()

    def _open(self) -> None:
        mended = self._disk.open(self._unix_ms())
        self._opened = True
        self._head = self._disk.end
        for event, why in mended:
            _log.warning("audit_log_mended", what=event, why=why)
            self._own.append(self._about(event, why))

    def _write(self, entries: list[_Entry], last: bool) -> None:
        dropped = self._dropped
        tell = self._about_dropped(dropped, last)
        own = [*self._own, *tell]
        records = [*own, *(entry.record for entry in entries)]
        if records:
            lines, end = [], self._disk.end
            first = end.sequence + 1 + len(own)
            for record in records:
                line, end = line_of(record, end)
                lines.append(line)
            self._disk.write(lines, end)
            self._head = end
            self._own.clear()
            if tell:
                self._dropped_told, self._dropped_told_s = dropped, time.monotonic()
            self._confirm(entries, first)
            entries.clear()
        if self._failing:
            _log.warning("audit_log_resumed", folder=str(self.folder))
        self._failing, self._trouble = False, ""

    def _about_dropped(self, dropped: int, last: bool) -> list[Record]:
        count = dropped - self._dropped_told
        due = last or time.monotonic() - self._dropped_told_s >= TELL_DROPPED_EVERY_S
        if count == 0 or not due:
            return []
        return [self._about("audit/Dropped", f"{count} refused calls were counted and not written")]

    def _failed(self, error: OSError) -> None:
        if not self._failing:  # Said once, here and, when it is over, in the log itself.
            self._failing = True
            _log.error("audit_log_unwritable", folder=str(self.folder), why=str(error))
            self._own.append(self._about("audit/Resumed", f"nothing could be written: {error}"))
        self._trouble = str(error)

    def _about(self, rpc: str, why: str) -> Record:
        return Record(self._unix_ms(), self._self_uri, rpc, "allowed", reason=why, outcome="OK")

    def _confirm(self, entries: list[_Entry], first: int) -> None:
        for sequence, entry in enumerate(entries, first):
            # A caller that has gone changes nothing: the record stands all the same.
            if entry.done is not None and entry.done.set_running_or_notify_cancel():
                entry.done.set_result(sequence)

    def _refuse(self, entries: list[_Entry], why: str) -> None:
        for entry in entries:
            if entry.done is None:
                with self._wake:
                    self._dropped += 1
            elif entry.done.set_running_or_notify_cancel():
                entry.done.set_exception(self._unwritable(why))

    def _unwritable(self, why: str) -> McError:
        return McError("AUDIT_UNWRITABLE", f"the audit log in {self.folder} takes nothing: {why}")


def _next_of(batches: Iterator[list[str]]) -> list[str]:
    return next(batches, [])
