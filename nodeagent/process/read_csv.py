"""Lines of csv to frames of texts: types come by validate.schema or transform.cast."""

import csv
from collections.abc import Iterable, Iterator

import polars as pl

from nodeagent.core.pipeline.lines import Found, TooLong
from nodeagent.core.pipeline.model import Csv
from nodeagent.core.pipeline.source import broken
from nodeagent.process.chunk import RECORD_SHOWN_BYTES_MAX, Bad, Chunk, ReadChunk

BOM = "\ufeff"


def read_csv(
    found: Iterable[Found],
    path: str,
    begin: int,
    rule: Csv,
    *,
    columns: list[str] | None,
    batch_bytes: int,
    record_bytes_max: int,
) -> Iterator[ReadChunk]:
    """Chunks of about `batch_bytes`. `columns`: of the header, where the range does not hold it."""
    csv.field_size_limit(record_bytes_max)
    lines = _Lines(found)
    batch: _Batch | None = _Batch(columns, 0) if columns is not None else None
    for offset, fields in _records(lines, rule):
        if batch is None:
            named = fields if rule.header else [f"column_{at + 1}" for at in range(len(fields))]
            batch = _Batch(checked_header(named), 0)
            if rule.header:
                continue
        batch.add(offset, fields, lines)
        if lines.read_bytes - batch.read_from >= batch_bytes:
            yield batch.done(path, begin, lines.bad)
            batch = _Batch(batch.columns, lines.read_bytes)
            lines.bad = []
    if batch is not None:
        yield batch.done(path, begin, lines.bad)


def checked_header(columns: list[str]) -> list[str]:
    columns = [columns[0].removeprefix(BOM), *columns[1:]] if columns else []
    twice = next((c for c in columns if columns.count(c) > 1), None)
    if twice is not None:
        raise broken(f"its header names the column {twice!r} twice")
    return columns


def header_of(line: bytes, rule: Csv) -> list[str]:
    """Of the first line of a file, for the ranges behind the first."""
    fields = next(csv.reader([line.decode("utf-8", "replace")], delimiter=rule.delimiter), [])
    named = fields if rule.header else [f"column_{at + 1}" for at in range(len(fields))]
    return checked_header(named)


class _Lines:
    """Lines as text for the reader of the standard library, which tells nobody where it is."""

    def __init__(self, found: Iterable[Found]) -> None:
        self._found = found
        self.record_at = 0  # Where the line that was given out last begins.
        self.read_bytes = 0
        self.not_utf8 = False  # A line since the last record.
        self.bad: list[Bad] = []

    def __iter__(self) -> Iterator[str]:
        for one in self._found:
            if isinstance(one, TooLong):
                why = f"is longer ({one.size_bytes} bytes) than a record may be"
                self.bad.append(Bad(one.offset_bytes, why, one.start))
                continue
            at = one.offset_bytes
            for line in _split(one.data):
                self.record_at = at
                at += len(line)
                self.read_bytes += len(line)
                try:
                    yield line.decode()
                except UnicodeDecodeError:
                    self.not_utf8 = True
                    yield line.decode("utf-8", "replace")


def _split(data: bytes) -> list[bytes]:
    """Only a line feed ends a line; `splitlines` takes a lone carriage return for an end, too."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _records(lines: _Lines, rule: Csv) -> Iterator[tuple[int, list[str]]]:
    """Where each begins, and its fields. Empty lines are none."""
    if not rule.quoted_newlines:
        for line in lines:
            fields = _fields(line, rule)
            if fields is None:
                shown = line.encode()[:RECORD_SHOWN_BYTES_MAX]
                lines.bad.append(Bad(lines.record_at, "a quote is not closed on its line", shown))
            elif fields:
                yield lines.record_at, fields
        return
    first: list[int] = []  # Where the record at hand begins.

    def marked() -> Iterator[str]:
        for line in lines:
            if not first:
                first.append(lines.record_at)
            yield line

    reader = csv.reader(marked(), delimiter=rule.delimiter)
    try:
        for fields in reader:
            at = first.pop()
            if fields:
                yield at, fields
    except csv.Error as error:
        begun = first[0] if first else 0
        what = f"the record at byte {begun} does not end: {error}"
        raise broken(f"{what}; is a quote not closed?") from error


def _fields(line: str, rule: Csv) -> list[str] | None:
    if '"' not in line:
        text = line.rstrip("\r\n")
        return text.split(rule.delimiter) if text else []
    try:
        return next(csv.reader([line], delimiter=rule.delimiter, strict=True), [])
    except csv.Error:
        return None


class _Batch:
    def __init__(self, columns: list[str], read_from: int) -> None:
        self.columns = columns
        self.read_from = read_from
        self._rows: list[list[str]] = []
        self._offsets: list[int] = []

    def add(self, offset: int, fields: list[str], lines: _Lines) -> None:
        why = ""
        if lines.not_utf8:
            lines.not_utf8, why = False, "is not UTF-8"
        elif len(fields) != len(self.columns):
            why = f"has {len(fields)} fields, the header has {len(self.columns)}"
        if why:
            shown = ",".join(fields).encode()[:RECORD_SHOWN_BYTES_MAX]
            lines.bad.append(Bad(offset, why, shown))
        else:
            self._rows.append(fields)
            self._offsets.append(offset)

    def done(self, path: str, begin: int, bad: list[Bad]) -> ReadChunk:
        values = zip(*self._rows, strict=True) if self._rows else [()] * len(self.columns)
        series = [
            pl.Series(name, list(column), dtype=pl.String)
            for name, column in zip(self.columns, values, strict=True)
        ]
        offsets = pl.Series(self._offsets, dtype=pl.UInt64)
        return ReadChunk(Chunk(pl.DataFrame(series), offsets, path, begin, text_only=True), bad)
