"""The file of a node's history: SQLite, one row for all figures of a step, so that a second costs
one row. It is told anew when it is torn: history is worth no start that fails.
"""

import json
import sqlite3
import struct
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from nodeagent.core.rollup import GRAINS, SERIES_MAX, Row, Spread

_log = structlog.stdlib.get_logger(__name__)
MARKS_MAX = 10_000
FORMAT = 1
_CELL = struct.Struct("<Hfff")
_PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "journal_size_limit=4194304")
_TABLES = """
CREATE TABLE IF NOT EXISTS series (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE IF NOT EXISTS step (
    step_s INTEGER, unix_s INTEGER, cells BLOB, PRIMARY KEY (step_s, unix_s)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mark (id INTEGER PRIMARY KEY, unix_ms INTEGER, name TEXT, facts TEXT);
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """What happened, beside the figures."""

    unix_ms: int
    name: str
    facts: Mapping[str, str]


@dataclass(slots=True)
class Book:
    """One thread writes, any may read."""

    file: Path
    _db: sqlite3.Connection = field(init=False)
    _ids: dict[str, int] = field(default_factory=dict)
    _using: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        try:
            self._db = _opened(self.file)
        except sqlite3.OperationalError:
            raise  # Locked, no room, no rights: the file itself may be good.
        except sqlite3.DatabaseError as error:
            aside = self.file.with_suffix(".torn")
            _log.warning("history_torn", file=str(self.file), why=str(error), kept=str(aside))
            self.file.replace(aside)
            for rest in ("-wal", "-shm"):
                self.file.with_name(self.file.name + rest).unlink(missing_ok=True)
            self._db = _opened(self.file)
        self._ids = dict(self._db.execute("SELECT name, id FROM series").fetchall())

    def write(self, rows: Iterable[Row], marks: Iterable[Mark], now_unix_s: int) -> None:
        """All of it or nothing; what is too old goes."""
        with self._using, self._forgetting(), self._db:
            for row in rows:
                self._put(row)
            self._db.executemany(
                "INSERT INTO mark (unix_ms, name, facts) VALUES (?, ?, ?)",
                [(m.unix_ms, m.name, json.dumps(dict(m.facts))) for m in marks],
            )
            for grain in GRAINS:
                old = grain.step_s, now_unix_s - grain.keep_s
                self._db.execute("DELETE FROM step WHERE step_s = ? AND unix_s < ?", old)
            self._db.execute(
                "DELETE FROM mark WHERE id <= (SELECT max(id) - ? FROM mark)", (MARKS_MAX,)
            )

    def names(self) -> list[str]:
        return sorted(self._ids.copy())

    def read(
        self, names: Iterable[str], step_s: int, from_unix_s: int, until_unix_s: int
    ) -> dict[str, list[tuple[int, Spread]]]:
        wanted = {self._ids[name]: name for name in names if name in self._ids}
        found: dict[str, list[tuple[int, Spread]]] = {name: [] for name in wanted.values()}
        with self._using:
            rows = self._db.execute(
                "SELECT unix_s, cells FROM step WHERE step_s = ? AND unix_s >= ? AND unix_s < ?"
                " ORDER BY unix_s",
                (step_s, from_unix_s, until_unix_s),
            ).fetchall()
        for unix_s, cells in rows:
            for number, *spread in _CELL.iter_unpack(cells):
                if number in wanted:
                    found[wanted[number]].append((unix_s, Spread(*spread)))
        return found

    def marks(self, from_unix_s: int, until_unix_s: int, most: int) -> list[Mark]:
        with self._using:
            rows = self._db.execute(
                "SELECT unix_ms, name, facts FROM mark WHERE unix_ms >= ? AND unix_ms < ?"
                " ORDER BY id DESC LIMIT ?",
                (from_unix_s * 1000, until_unix_s * 1000, most),
            ).fetchall()
        return [Mark(at, name, json.loads(facts)) for at, name, facts in reversed(rows)]

    def close(self) -> None:
        with self._using, suppress(sqlite3.Error):
            self._db.close()

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        """What was not written after all has no number."""
        known = dict(self._ids)
        try:
            yield
        except sqlite3.Error:
            self._ids = known
            raise

    def _put(self, row: Row) -> None:
        """A figure beyond the bound is not kept: labels are few, so that is a defect elsewhere."""
        for name in row.values.keys() - self._ids.keys():
            if len(self._ids) < SERIES_MAX:
                added = self._db.execute("INSERT INTO series (name) VALUES (?)", (name,))
                self._ids[name] = int(added.lastrowid or 0)
        cells = b"".join(
            _CELL.pack(self._ids[name], spread.least, spread.mean, spread.most)
            for name, spread in row.values.items()
            if name in self._ids
        )
        values = row.step_s, row.unix_s, cells
        self._db.execute("INSERT OR REPLACE INTO step VALUES (?, ?, ?)", values)


def _opened(file: Path) -> sqlite3.Connection:
    db = sqlite3.connect(file, check_same_thread=False)
    try:
        for pragma in _PRAGMAS:
            db.execute(f"PRAGMA {pragma}").fetchall()
        (fault,) = db.execute("PRAGMA quick_check(1)").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if fault != "ok" or version not in (0, FORMAT):
            raise sqlite3.DatabaseError(fault if fault != "ok" else f"format {version}")
        db.executescript(f"{_TABLES} PRAGMA user_version = {FORMAT};")
    except sqlite3.Error:
        db.close()
        raise
    return db
