"""What one machine has on disk: it outlives its processes, and loses what was not synced.

Ledgers are production's SQLite in memory; council and chunks are what production would have read
back. A write takes a moment, and until then a crash undoes it.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from coordinator.council.acceptor import Memory, Unsaved
from coordinator.council.registers import Seat
from nodeagent.jobs.keeping import _SCHEMA, Keeping, _tried
from nodeagent.store.memory import MemoryStore
from tests.sim.whole.loop import Loop

FSYNC_S, LATE_S = 0.004, 5.0  # A disk that nobody syncs writes some seconds later.


@dataclass(slots=True)
class Disk:
    """`number` counts the disks that this node has had."""

    node: str
    number: int
    store: MemoryStore
    memory: Memory = field(default_factory=Memory)
    rows: dict[str, tuple[str, int, bytes]] = field(default_factory=dict)  # The council's copy.
    ledgers: dict[str, sqlite3.Connection] = field(default_factory=dict)

    @property
    def seat(self) -> Seat:
        return Seat(self.node, f"{self.node}-{self.number}")


def copied(memory: Memory) -> Memory:
    return Memory(memory.epoch, memory.sealed, dict(memory.promised), dict(memory.accepted))


@dataclass(slots=True)
class Habits:
    """How a disk is used; planted bugs use it otherwise."""

    ballots_synced: bool = True
    facts_synced: bool = True
    chunks_synced: bool = True


class SimDatabase:
    """In place of the file and the thread that writes it."""

    def __init__(self, loop: Loop, keep: Callable[[Any], None], synced: bool = True) -> None:
        self.trouble: None = None
        self._loop, self._keep, self._synced = loop, keep, synced

    def save(self, statements: Any) -> "Future[None]":
        done: Future[None] = Future()

        def kept() -> None:
            self._keep(statements)
            if not done.done():
                done.set_result(None)

        self._loop.call_later(FSYNC_S if self._synced else LATE_S, kept)
        if not self._synced:
            done.set_result(None)
        return done

    def close(self) -> None:
        """Nothing is open."""


class SimMemoryFile:
    """The council member's file."""

    def __init__(self, disk: Disk, loop: Loop, first_start: bool, habits: Habits) -> None:
        self.seat, self.first_start, self.memory = disk.seat, first_start, copied(disk.memory)
        self._disk = disk
        self.database = SimDatabase(loop, self._keep, habits.ballots_synced)

    def statements(self, memory: Memory, unsaved: Unsaved) -> Memory:
        return copied(memory)

    def _keep(self, memory: Memory) -> None:
        self._disk.memory = memory


def keep_rows(disk: Disk) -> Callable[[Sequence[tuple[str, Sequence[Any]]]], None]:
    def keep(statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        for _, (key, sequence, body) in statements:
            disk.rows[key] = (key, sequence, body)

    return keep


class SimKeeping(Keeping):
    """Production's ledgers, written without a thread: a moment passes before anybody hears."""

    def __init__(self, disk: Disk, loop: Loop, habits: Habits) -> None:
        self._disk, self._loop, self._habits = disk, loop, habits
        self._open: dict[str, sqlite3.Connection] = {}
        self._new_facts: dict[str, asyncio.Event] = {}
        for ledger in disk.ledgers.values():
            if ledger.in_transaction:  # Of the process before this one.
                ledger.execute("rollback")

    async def _do(self, work: Callable[[], Any]) -> Any:
        value, error = _tried(work)
        if self._habits.facts_synced:
            await asyncio.sleep(FSYNC_S)
            self._commit()
        else:
            self._loop.call_later(LATE_S, self._commit)
        if error is not None:
            raise error
        return value

    def _ledger(self, job: str) -> sqlite3.Connection:
        if job not in self._open:
            if job not in self._disk.ledgers:
                made = sqlite3.connect(":memory:", isolation_level=None)
                made.executescript(_SCHEMA)
                self._disk.ledgers[job] = made
            self._open[job] = self._disk.ledgers[job]
        ledger = self._open[job]
        if not ledger.in_transaction:
            ledger.execute("begin immediate")
        return ledger

    def _forget(self, job: str) -> None:
        self._open.pop(job, None)
        ledger = self._disk.ledgers.pop(job, None)
        if ledger is not None:
            ledger.close()

    def jobs(self) -> list[str]:
        return sorted(self._disk.ledgers)

    async def close(self) -> None:
        """Nothing is open."""
