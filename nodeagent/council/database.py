"""One SQLite file and the one thread that writes it. Whatever waits goes into one transaction, so
that many answers share the wait for the disk.

A write that failed is never tried again: what the disk holds then is known only after a restart.
"""

import queue
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from multicloud.errors import McError

Statement = tuple[str, Sequence[Any]]
BATCH_MAX = 256


def connect(file: Path, pragmas: Iterable[str], *, create: bool = False) -> sqlite3.Connection:
    """Never makes a file unasked: an empty one in place of a lost one would be a lie."""
    uri = f"{file.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    try:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").fetchall()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@dataclass(slots=True)
class Database:
    file: Path
    connection: sqlite3.Connection
    trouble: McError | None = None
    _work: "queue.SimpleQueue[tuple[Sequence[Statement], Future[None]] | None]" = field(
        default_factory=queue.SimpleQueue
    )
    _thread: threading.Thread = field(init=False)
    _closing: bool = False

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._write, name=self.file.name, daemon=True)
        self._thread.start()

    def save(self, statements: Sequence[Statement]) -> "Future[None]":
        """Done when it is on the disk, after all that was given before."""
        done: Future[None] = Future()
        if self._closing:
            done.set_exception(McError("DRAINING", "this node is going down"))
        else:
            self._work.put((statements, done))
        return done

    def close(self) -> None:
        """Writes what is waiting; blocks."""
        self._closing = True
        self._work.put(None)
        self._thread.join()

    def _write(self) -> None:
        going = True
        while going:
            batch = [self._work.get()]
            while len(batch) < BATCH_MAX and not self._work.empty():
                batch.append(self._work.get())
            going = None not in batch
            self._commit([one for one in batch if one is not None])
        self.connection.close()

    def _commit(self, batch: Sequence[tuple[Sequence[Statement], "Future[None]"]]) -> None:
        if self.trouble is None and batch:
            try:
                self.connection.execute("BEGIN IMMEDIATE")
                for statements, _ in batch:
                    for sql, values in statements:
                        self.connection.execute(sql, values)
                self.connection.execute("COMMIT")
            except sqlite3.Error as error:
                said = f"{self.file} cannot be written: {error}"
                self.trouble = McError("VOLUME_FAILED", said)
        for _, done in batch:
            if self.trouble is None:
                done.set_result(None)
            else:
                done.set_exception(self.trouble)
