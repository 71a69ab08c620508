"""The index: when each chunk was stored and last checked, for the next start. A mere cache.

Lost, stale or unwritable it costs checks that are made again, and never an answer that is wrong.
"""

import os
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock

from nodeagent.store.contract import Held

SCHEMA_VERSION = 1
_TABLE = """CREATE TABLE IF NOT EXISTS chunks (
    id BLOB PRIMARY KEY, file_bytes INTEGER, stored_unix_s REAL, verified_unix_s REAL
) WITHOUT ROWID"""


@dataclass(frozen=True, slots=True)
class Known:
    file_bytes: int
    stored_unix_s: float
    verified_unix_s: float


class Index:
    """Its path may be ":memory:". After its first fault it is no longer asked or written."""

    def __init__(self, path: str) -> None:
        self._lock = Lock()
        self._fresh: dict[bytes, Held] = {}  # To be written with the next flush.
        self._gone: set[bytes] = set()
        self.fault = ""
        try:
            self._db: sqlite3.Connection | None = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, timeout=1.0
            )
            self._prepare(self._db)
        except sqlite3.Error as error:
            self._give_up(error)

    def load(self) -> dict[bytes, Known]:
        if self._db is None:
            return {}
        try:
            rows = self._db.execute(
                "SELECT id, file_bytes, stored_unix_s, verified_unix_s FROM chunks"
            )
            return {bytes(row[0]): Known(int(row[1]), float(row[2]), float(row[3])) for row in rows}
        except (sqlite3.Error, TypeError, ValueError) as error:
            self._give_up(error)
            return {}

    def set(self, held: Held) -> None:
        with self._lock:
            self._gone.discard(held.chunk_id)
            self._fresh[held.chunk_id] = held

    def remove(self, chunk_id: bytes) -> None:
        with self._lock:
            self._fresh.pop(chunk_id, None)
            self._gone.add(chunk_id)

    @property
    def waiting(self) -> int:
        return len(self._fresh) + len(self._gone)

    def flush(self, *, durably: bool = False) -> None:
        """Writes what waits. Durably: what was removed does not come back after a power cut."""
        with self._lock:
            fresh, self._fresh = self._fresh, {}
            gone, self._gone = self._gone, set()
        if self._db is None or not (fresh or gone):
            return
        try:
            self._db.execute(f"PRAGMA synchronous={'FULL' if durably else 'NORMAL'}")
            self._db.execute("BEGIN")
            self._db.executemany("DELETE FROM chunks WHERE id=?", ((one,) for one in gone))
            self._db.executemany("INSERT OR REPLACE INTO chunks VALUES (?,?,?,?)", _rows(fresh))
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._give_up(error)

    def close(self) -> None:
        self.flush()
        if self._db is not None:
            self._db.close()
            self._db = None

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.execute("PRAGMA journal_mode=WAL")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version != SCHEMA_VERSION:  # Of another release: rebuilt.
            db.execute("DROP TABLE IF EXISTS chunks")
        db.execute(_TABLE)
        db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def _give_up(self, error: Exception) -> None:
        self.fault = f"the index cannot be used: {error}"
        db, self._db = getattr(self, "_db", None), None
        if db is not None:
            db.close()


def open_index(path: str) -> Index:
    """One that cannot be read is thrown away and made anew."""
    index = Index(path)
    if index.fault and os.path.isfile(path):
        try:
            for name in (path, f"{path}-wal", f"{path}-shm"):
                if os.path.lexists(name):
                    os.unlink(name)
        except OSError:
            return index  # Then it goes without: `fault` says why.
        return Index(path)
    return index


def _rows(held: dict[bytes, Held]) -> Iterable[tuple[bytes, int, float, float]]:
    return (
        (one.chunk_id, one.file_bytes, one.stored_unix_s, one.verified_unix_s)
        for one in held.values()
    )
