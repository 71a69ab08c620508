"""What a manifest says, sorted on disk: memory stays the same however many files there are.

Bounds: CACHE_KIB for SQLite, and the parts of one file at a time (about 200 bytes each). It
blocks: use it in a thread.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from multicloud.errors import McError
from multicloud.v1 import records_pb2, task_pb2
from nodeagent.jobs.datasets.blocks import FILE_PARTS_MAX

CACHE_KIB = 16 << 10
_TABLES = f"""
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = FILE;
PRAGMA cache_size = -{CACHE_KIB};
CREATE TABLE chunk (
    place INTEGER PRIMARY KEY, id BLOB UNIQUE NOT NULL, sealed INTEGER, plain INTEGER, trace BLOB,
    tag BLOB);
CREATE TABLE part (
    path BLOB NOT NULL, at INTEGER, chunk INTEGER, start INTEGER, size INTEGER, blake3 BLOB,
    records INTEGER, origin BLOB, etag TEXT, modified INTEGER, mode INTEGER);
CREATE TABLE gone (origin BLOB PRIMARY KEY);
"""
_DROP = "DELETE FROM part WHERE origin IN (SELECT origin FROM gone)"
_INSERT_CHUNK = "INSERT OR IGNORE INTO chunk (id, sealed, plain, trace, tag) VALUES (?, ?, ?, ?, ?)"
_INSERT = "INSERT INTO part VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SORTED = "SELECT * FROM part ORDER BY path, at, size"
Row = tuple[Any, ...]


class Sorting:
    """One manifest in the making. `file` is made here and may be deleted afterwards."""

    def __init__(self, file: Path) -> None:
        self._database = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self._database.executescript(_TABLES)
        self._database.execute("BEGIN")

    def close(self) -> None:
        self._database.close()

    def add(self, results: Iterable[task_pb2.TaskResult]) -> None:
        """The chosen result of each task, once. In one order they make one manifest."""
        for result in results:
            trace = trace_of(result)
            places = [self._place(chunk, trace) for chunk in result.chunks]
            rows = [_row(result, file, places) for file in result.files]
            self._database.executemany(_INSERT, rows)
            self.leave_out(skipped.path for skipped in (*result.skipped, *result.cut_short))

    def leave_out(self, origins: Iterable[bytes]) -> None:
        """Objects of which a part is missing: what there is of them makes no file."""
        insert = "INSERT OR IGNORE INTO gone VALUES (?)"
        self._database.executemany(insert, ((origin,) for origin in origins))

    def done(self) -> None:
        """All is added."""
        self._database.execute(_DROP)

    def _place(self, chunk: task_pb2.SealedChunk, trace: bytes) -> int:
        """Chunks count in the order in which they come; the same one comes once."""
        row = (chunk.id, chunk.sealed_bytes, chunk.plain_bytes, trace, chunk.duplicate_tag)
        self._database.execute(_INSERT_CHUNK, row)
        found = self._database.execute("SELECT place FROM chunk WHERE id = ?", row[:1]).fetchone()
        return int(found[0]) - 1

    def totals(self) -> tuple[int, int, int, int]:
        """Files, chunks, bytes and records."""
        (chunks,) = self._database.execute("SELECT count(*) FROM chunk").fetchone()
        files = "SELECT count(DISTINCT path), total(size), total(records) FROM part"
        paths, size_bytes, records = self._database.execute(files).fetchone()
        return paths, chunks, int(size_bytes), int(records)

    def chunks(self) -> Iterator[records_pb2.ManifestChunk]:
        query = "SELECT id, sealed, plain, trace, tag FROM chunk ORDER BY place"
        for chunk_id, sealed_bytes, plain_bytes, trace, tag in self._database.execute(query):
            yield records_pb2.ManifestChunk(
                id=chunk_id,
                sealed_bytes=sealed_bytes,
                plain_bytes=plain_bytes,
                trace=trace,
                duplicate_tag=tag,
            )

    def files(self) -> Iterator[records_pb2.ManifestFile]:
        """By path; one with many parts comes in several pieces."""
        for path, rows in groupby(self._database.execute(_SORTED), key=lambda row: bytes(row[0])):
            yield from _file(path, list(rows))


def trace_of(result: task_pb2.TaskResult) -> bytes:
    """Trace and span of the attempt, as a manifest keeps them; empty when they are not known."""
    parts = result.traceparent.split("-")
    return bytes.fromhex(parts[1] + parts[2]) if len(parts) == 4 else b""


def _row(result: task_pb2.TaskResult, file: task_pb2.ResultFile, places: list[int]) -> Row:
    if not file.path:
        raise McError("FAILED", f"the result of task {result.task} has a file without a path")
    place = 0
    if file.size_bytes:
        if file.chunk >= len(places):
            said = f"the result of task {result.task} names a chunk that it does not have"
            raise McError("FAILED", said)
        place = places[file.chunk]
        if file.offset_bytes + file.size_bytes > result.chunks[file.chunk].plain_bytes:
            said = f"the result of task {result.task} names bytes behind the end of a chunk"
            raise McError("FAILED", said)
    return (
        file.path,
        file.at_bytes,
        place,
        file.offset_bytes,
        file.size_bytes,
        file.blake3,
        file.records,
        file.origin,
        file.origin_etag,
        file.modified_unix_ms,
        file.mode,
    )


def _file(path: bytes, rows: list[Row]) -> Iterator[records_pb2.ManifestFile]:
    _check(path, rows)
    first = rows[0]
    full = [row for row in rows if row[4]]
    size_bytes, records = sum(row[4] for row in full), sum(row[6] for row in rows)
    at_bytes = 0
    for start in range(0, max(1, len(full)), FILE_PARTS_MAX):
        file = records_pb2.ManifestFile(
            path=path,
            bytes=size_bytes,
            records=records,
            origin=first[7],
            origin_etag=first[8],
            modified_unix_ms=first[9],
            mode=first[10],
        )
        for row in full[start : start + FILE_PARTS_MAX]:
            file.parts.add(
                chunk=row[2],
                offset_bytes=row[3],
                size_bytes=row[4],
                blake3=row[5],
                at_bytes=at_bytes,
            )
            at_bytes += row[4]
        yield file


def _check(path: bytes, rows: list[Row]) -> None:
    """Nothing is mixed: one object makes a file, and no two parts take one place in it."""
    shown = path.decode("utf-8", "backslashreplace")
    if len({bytes(row[7]) for row in rows}) > 1:
        said = f"several objects of the source would become the one file {shown}"
        raise McError("FAILED", said, next="rename one of them, or leave it out with --exclude")
    places = [row[1] for row in rows if row[4]]
    if len(set(places)) < len(places):
        raise McError("FAILED", f"two parts of {shown} begin at one place")
