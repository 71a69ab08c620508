"""The one thread that samples figures and writes them down, and what it remembers unwritten."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from nodeagent.core.rollup import Rollup, Row, Spread, grain_for, thinned
from nodeagent.history.book import Book, Mark
from nodeagent.history.sampler import Sampler, parted
from nodeagent.telemetry import Sample

_log = structlog.stdlib.get_logger(__name__)
EVERY_S, WRITE_EVERY_S = 1.0, 10.0
UNWRITTEN_ROWS_MAX = 1024
STOP_S_MAX = 5.0


@dataclass(slots=True)
class Recorder:
    file: Path
    samples: Callable[[], Iterable[Sample]]
    marks: Callable[[], Sequence[Mark]]  # What happened since it was asked last.
    now_s: Callable[[], float] = time.time
    _book: Book | None = None
    _sampler: Sampler = field(default_factory=Sampler)
    _rollup: Rollup = field(default_factory=Rollup)
    _rows: list[Row] = field(default_factory=list)
    _marks: list[Mark] = field(default_factory=list)
    _sampled_s: float = 0.0
    _using: threading.Lock = field(default_factory=threading.Lock)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Writes what is unwritten; blocks."""
        self._stopping.set()
        if self._thread:
            self._thread.join(STOP_S_MAX)

    def look(self) -> None:
        """One sample of everything."""
        clock_s = time.monotonic()
        figures = self._sampler.figures(self.samples(), max(0.001, clock_s - self._sampled_s))
        self._sampled_s = clock_s
        happened = self.marks()
        with self._using:
            self._rows += self._rollup.add(int(self.now_s()), figures)
            self._marks += happened
            del self._rows[:-UNWRITTEN_ROWS_MAX], self._marks[:-UNWRITTEN_ROWS_MAX]

    def write(self, *, last: bool = False) -> None:
        if self._book is None:
            self._book = Book(self.file)
        with self._using:
            rows = [*self._rows, *(self._rollup.rest() if last else ())]
            marks = list(self._marks)
        self._book.write(rows, marks, int(self.now_s()))
        with self._using:
            del self._rows[: len(rows)], self._marks[: len(marks)]

    def read(
        self, metrics: Sequence[str], from_s: int, until_s: int, points_max: int
    ) -> dict[str, list[tuple[int, Spread]]]:
        """By series; a metric stands for all of its labels, none for all metrics."""
        if self._book is None:
            return {}
        grain = grain_for(from_s, until_s, int(self.now_s()), points_max)
        with self._using:
            fresh = [*self._rows, *self._rollup.rest()]
        known = {*self._book.names(), *(name for row in fresh for name in row.values)}
        names = sorted(n for n in known if not metrics or _asked(n, metrics))
        found: dict[str, list[tuple[int, Spread]]] = {name: [] for name in names}
        found |= self._book.read(names, grain.step_s, from_s, until_s)
        for row in fresh:
            if row.step_s == grain.step_s and from_s <= row.unix_s < until_s:
                for name in found.keys() & row.values.keys():
                    if not found[name] or found[name][-1][0] < row.unix_s:
                        found[name].append((row.unix_s, row.values[name]))
        return {
            name: thinned(points, from_s, until_s, points_max)
            for name, points in found.items()
            if points
        }

    def told(self, from_s: int, until_s: int, most: int) -> list[Mark]:
        written = self._book.marks(from_s, until_s, most) if self._book else []
        with self._using:
            fresh = [m for m in self._marks if from_s * 1000 <= m.unix_ms < until_s * 1000]
        return [*written, *fresh][-most:]

    def _run(self) -> None:
        written_s, healthy = -WRITE_EVERY_S, True
        while not self._stopping.wait(EVERY_S):
            self.look()
            if time.monotonic() - written_s >= WRITE_EVERY_S:
                healthy, written_s = self._tried(healthy), time.monotonic()
        self._tried(healthy, last=True)
        if self._book:
            self._book.close()

    def _tried(self, healthy: bool, *, last: bool = False) -> bool:
        """A full disk costs history and nothing else; it is told once."""
        try:
            self.write(last=last)
        except (sqlite3.Error, OSError) as error:
            if healthy:
                _log.warning("history_unwritten", file=str(self.file), why=str(error))
            return False
        return True


def _asked(name: str, metrics: Sequence[str]) -> bool:
    return name in metrics or parted(name)[0] in metrics
