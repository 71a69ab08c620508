"""The outbox: events of each sink on this node's disk, until the sink has them. Every node with a
sink keeps it, so that any of them can go on. It blocks: call it in a thread.
"""

import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from multicloud.errors import McError
from nodeagent.council.database import connect
from nodeagent.sinks.happened import Event

FILE = "outbox.db"
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL")
WAITING, SENT, SHARED = range(3)  # SHARED: the council knows that it was sent.
TABLE = (
    "CREATE TABLE IF NOT EXISTS event (sink TEXT, id BLOB, unix_ms INTEGER, kind TEXT, body BLOB,"
    " state INTEGER, PRIMARY KEY (sink, id))"
)
INDEX = "CREATE INDEX IF NOT EXISTS waiting ON event (sink, state, unix_ms)"


@dataclass(frozen=True, slots=True)
class Letter:
    id: bytes
    unix_ms: int
    kind: str
    body: bytes

    @property
    def name(self) -> str:
        return f"evt_{self.id.hex()}"


@dataclass(slots=True)
class Outbox:
    connection: sqlite3.Connection
    waiting_max: int
    dropped: int = 0
    _turn: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, folder: Path, waiting_max: int) -> "Outbox":
        try:
            connection = connect(folder / FILE, PRAGMAS, create=True)
            connection.execute(TABLE)
            connection.execute(INDEX)
        except sqlite3.Error as error:
            raise McError("VOLUME_FAILED", f"{folder / FILE} cannot be used: {error}") from error
        return cls(connection, waiting_max)

    def put(self, sink: str, events: Iterable[Event], cluster: str) -> None:
        """On the disk when this returns; what is there already stays as it is."""
        rows = [(sink, e.id, e.unix_ms, e.kind, e.body(cluster), WAITING) for e in events]
        with self._changing() as db:
            db.executemany("INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?, ?, ?)", rows)
            excess = self._count(sink) - self.waiting_max
            if excess > 0:
                self.dropped += excess
                db.execute(
                    "DELETE FROM event WHERE rowid IN (SELECT rowid FROM event WHERE sink = ?"
                    " AND state = ? ORDER BY unix_ms, id LIMIT ?)",
                    (sink, WAITING, excess),
                )

    def waiting(self, sink: str, since_unix_ms: int, count: int) -> list[Letter]:
        """Oldest first."""
        with self._changing() as db:
            found = db.execute(
                "SELECT id, unix_ms, kind, body FROM event WHERE sink = ? AND state = ?"
                " AND unix_ms >= ? ORDER BY unix_ms, id LIMIT ?",
                (sink, WAITING, since_unix_ms, count),
            ).fetchall()
        return [Letter(*row) for row in found]

    def mark(self, sink: str, ids: Collection[bytes], state: int) -> None:
        """An event goes from waiting to sent to shared, and never back."""
        rows = [(state, sink, id_, state) for id_ in ids]
        with self._changing() as db:
            db.executemany(
                "UPDATE event SET state = ?, body = x'' WHERE sink = ? AND id = ? AND state < ?",
                rows,
            )

    def unshared(self, sink: str, count: int) -> Sequence[bytes]:
        with self._changing() as db:
            found = db.execute(
                "SELECT id FROM event WHERE sink = ? AND state = ? ORDER BY unix_ms LIMIT ?",
                (sink, SENT, count),
            ).fetchall()
        return [id_ for (id_,) in found]

    def forget(self, before_unix_ms: int) -> None:
        """Of what was sent so long ago that nobody could tell it again."""
        with self._changing() as db:
            db.execute(
                "DELETE FROM event WHERE state = ? AND unix_ms < ?", (SHARED, before_unix_ms)
            )

    def count(self, sink: str, since_unix_ms: int = 0) -> int:
        with self._changing():
            return self._count(sink, since_unix_ms)

    def _count(self, sink: str, since_unix_ms: int = 0) -> int:
        ((count,),) = self.connection.execute(
            "SELECT count(*) FROM event WHERE sink = ? AND state = ? AND unix_ms >= ?",
            (sink, WAITING, since_unix_ms),
        ).fetchall()
        return int(count)

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._turn:
            try:
                self.connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self.connection
                except BaseException:
                    self.connection.execute("ROLLBACK")
                    raise
                self.connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise McError("VOLUME_FAILED", f"{FILE} cannot be used: {error}") from error

    def close(self) -> None:
        with self._turn:
            self.connection.close()
