"""A keeper's disk: the facts of each job in a SQLite file of its own, in the order they came.

What returned is on stable storage. A fact is taken once by its id; a plan of an older epoch than
the keeper has opened is refused, a result is taken from anyone. One thread writes; whatever waits
is committed together.
"""

import asyncio
import os
import queue
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multicloud.errors import McError
from multicloud.v1 import task_pb2

JOB_ID = re.compile(r"^[0-9a-z]{6,40}$")
READ_ROWS = 64
WAITING_MAX = 1024

_SCHEMA = """
create table if not exists fact (
  sequence integer primary key autoincrement, id text not null unique, epoch integer not null,
  body blob not null);
create table if not exists state (name text primary key, value text not null);
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a ledger stands."""

    sequence: int
    epoch: int
    steward: str


class Keeping:
    """All ledgers that this node keeps, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, sqlite3.Connection] = {}
        self._work: queue.Queue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = queue.Queue(
            WAITING_MAX
        )
        self._new_facts: dict[str, asyncio.Event] = {}
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        self._thread.start()

    # --- what a keeper does

    async def append(self, job: str, epoch: int, facts: Sequence[task_pb2.Fact]) -> Kept:
        """All of them or none. `epoch` is the writer's; 0 for whoever brings results only."""
        kept: Kept = await self._do(lambda: self._append(job, epoch, facts))
        self._news(job)
        return kept

    async def open_epoch(self, job: str, epoch: int, steward: str) -> Kept:
        """From now on plans of older epochs are refused here."""
        kept: Kept = await self._do(lambda: self._open_epoch(job, epoch, steward))
        self._news(job)
        return kept

    async def read(self, job: str, after: int) -> list[tuple[int, task_pb2.Fact]]:
        """The next ones in their order; empty when there are no more for now."""
        found: list[tuple[int, task_pb2.Fact]] = await self._do(lambda: self._read(job, after))
        return found

    async def wait(self, job: str, after: int, timeout_s: float) -> None:
        """Until there is a fact after that one, or for so long."""
        event = self._new_facts.setdefault(job, asyncio.Event())
        event.clear()
        kept: Kept = await self._do(lambda: self._kept(self._ledger(job)))
        if kept.sequence > after:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            return

    async def forget(self, job: str) -> None:
        """The job's outcome is decided and its manifest is safe."""
        await self._do(lambda: self._forget(job))

    def jobs(self) -> list[str]:
        return sorted(path.stem for path in self._folder.glob("*.db"))

    async def close(self) -> None:
        await asyncio.to_thread(self._stop)

    # --- in the keeper's thread

    def _append(self, job: str, epoch: int, facts: Sequence[task_pb2.Fact]) -> Kept:
        ledger = self._ledger(job)
        opened = int(_state(ledger, "epoch") or 0)
        ledger.execute("savepoint facts")
        try:
            self._take(ledger, job, epoch, opened, facts)
        except BaseException:
            ledger.execute("rollback to facts")
            raise
        finally:
            ledger.execute("release facts")
        return self._kept(ledger)

    def _take(
        self,
        ledger: sqlite3.Connection,
        job: str,
        epoch: int,
        opened: int,
        facts: Sequence[task_pb2.Fact],
    ) -> None:
        for fact in facts:
            if _is_plan(fact):
                if epoch < opened or fact.epoch != epoch:
                    said = f"a plan of epoch {fact.epoch} came for job {job}, which is in {opened}"
                    raise McError("SUPERSEDED", said, facts={"epoch": str(opened)})
                self._replace(ledger, fact)
            else:
                ledger.execute(
                    "insert or ignore into fact (id, epoch, body) values (?, 0, ?)",
                    (fact.id, fact.SerializeToString()),
                )

    def _replace(self, ledger: sqlite3.Connection, fact: task_pb2.Fact) -> None:
        """A plan of a later steward takes the place of an older one with its number."""
        row = ledger.execute("select epoch from fact where id = ?", (fact.id,)).fetchone()
        if row is not None and row[0] >= fact.epoch:
            return
        ledger.execute("delete from fact where id = ?", (fact.id,))
        ledger.execute(
            "insert into fact (id, epoch, body) values (?, ?, ?)",
            (fact.id, fact.epoch, fact.SerializeToString()),
        )

    def _open_epoch(self, job: str, epoch: int, steward: str) -> Kept:
        ledger = self._ledger(job)
        kept = self._kept(ledger)
        if epoch < kept.epoch or (epoch == kept.epoch and steward != kept.steward):
            said = f"job {job} is in epoch {kept.epoch} with {kept.steward}"
            raise McError("SUPERSEDED", said, facts={"epoch": str(kept.epoch)})
        for name, value in (("epoch", str(epoch)), ("steward", steward)):
            ledger.execute("insert or replace into state values (?, ?)", (name, value))
        return self._kept(ledger)

    def _read(self, job: str, after: int) -> list[tuple[int, task_pb2.Fact]]:
        rows = self._ledger(job).execute(
            "select sequence, body from fact where sequence > ? order by sequence limit ?",
            (after, READ_ROWS),
        )
        return [(sequence, task_pb2.Fact.FromString(body)) for sequence, body in rows]

    def _kept(self, ledger: sqlite3.Connection) -> Kept:
        (last,) = ledger.execute("select coalesce(max(sequence), 0) from fact").fetchone()
        return Kept(last, int(_state(ledger, "epoch") or 0), _state(ledger, "steward"))

    def _forget(self, job: str) -> None:
        ledger = self._open.pop(job, None)
        if ledger is not None:
            ledger.rollback()
            ledger.close()
        for path in self._folder.glob(f"{_sound(job)}.db*"):
            path.unlink()

    def _ledger(self, job: str) -> sqlite3.Connection:
        if job not in self._open:
            path = self._folder / f"{_sound(job)}.db"
            fresh = not path.exists()
            ledger = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            ledger.execute("pragma journal_mode = wal")
            ledger.execute("pragma synchronous = full")
            ledger.executescript(_SCHEMA)
            if fresh:
                _sync_folder(self._folder)
            self._open[job] = ledger
        ledger = self._open[job]
        if not ledger.in_transaction:
            ledger.execute("begin immediate")
        return ledger

    def _run(self) -> None:
        while (first := self._work.get()) is not None:
            batch = [first, *self._more()]
            stopping = None in batch
            done = [_tried(work) for item in batch if item for work in (item[0],)]
            failed = self._commit()
            futures = [item[1] for item in batch if item]
            for future, (value, error) in zip(futures, done, strict=True):
                _answer(future, value, failed or error)
            if stopping:
                return

    def _more(self) -> Iterator[tuple[Callable[[], Any], asyncio.Future[Any]] | None]:
        while True:
            try:
                yield self._work.get_nowait()
            except queue.Empty:
                return

    def _commit(self) -> McError | None:
        """Everything of this batch, before anybody hears of it."""
        try:
            for ledger in self._open.values():
                if ledger.in_transaction:
                    ledger.execute("commit")
        except sqlite3.Error as error:
            for ledger in self._open.values():
                if ledger.in_transaction:
                    ledger.execute("rollback")
            return _fault(error)
        return None

    def _stop(self) -> None:
        self._work.put(None)
        self._thread.join()
        for ledger in self._open.values():
            ledger.close()
        self._open.clear()

    # --- in the loop

    async def _do(self, work: Callable[[], Any]) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            self._work.put_nowait((work, future))
        except queue.Full as full:
            said = f"{WAITING_MAX} writes wait for the ledgers' disk"
            raise McError("TOO_BUSY", said, retry_after_s=0.5) from full
        return await future

    def _news(self, job: str) -> None:
        event = self._new_facts.get(job)
        if event:
            event.set()


def _tried(work: Callable[[], Any]) -> tuple[Any, McError | None]:
    try:
        return work(), None
    except McError as error:
        return None, error
    except sqlite3.Error as error:
        return None, _fault(error)


def _fault(error: sqlite3.Error) -> McError:
    if isinstance(error, sqlite3.DatabaseError) and "malformed" in str(error):
        return McError("DAMAGE", f"a ledger on this node is damaged: {error}")
    return McError("VOLUME_FAILED", f"a ledger on this node cannot be written: {error}")


def _answer(future: asyncio.Future[Any], value: Any, error: McError | None) -> None:
    def tell() -> None:
        if future.done():
            return  # Nobody waits any more; what was written stays.
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)

    future.get_loop().call_soon_threadsafe(tell)


def _is_plan(fact: task_pb2.Fact) -> bool:
    return fact.WhichOneof("kind") in ("page", "poisoned")


def _state(ledger: sqlite3.Connection, name: str) -> str:
    row = ledger.execute("select value from state where name = ?", (name,)).fetchone()
    return row[0] if row else ""


def _sound(job: str) -> str:
    if not JOB_ID.match(job):
        raise McError("BAD_REQUEST", f"{job!r} is no id of a job")
    return job


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
