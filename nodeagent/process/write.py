"""Output files of a range, streamed: a writer takes chunks and gives bytes as they are ready."""

import io
import tarfile
import zlib
from collections.abc import Iterator
from typing import Protocol

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from multicloud.errors import McError
from nodeagent.core.pipeline.cut import Part
from nodeagent.core.pipeline.kinds import FileKind, csv_of
from nodeagent.core.pipeline.model import Pipeline
from nodeagent.core.pipeline.streams import GZIP_LEVEL, GZIP_WINDOW, ZSTD_LEVEL
from nodeagent.core.pipeline.tars import NAMELESS
from nodeagent.process.chunk import Chunk, to_jsonl
from nodeagent.process.read_tar import KEY
from nodeagent.process.tar_header import tar_header

PARQUET_DATA = "zstd"


class Writer(Protocol):
    def add(self, chunk: Chunk) -> Iterator[bytes]: ...
    def end(self) -> Iterator[bytes]: ...


def writer(part: Part, kind: FileKind, pipeline: Pipeline) -> Writer:
    form, compression = pipeline.output.format, pipeline.output.compression
    if form == "same":
        form, compression = kind.format, kind.compression
        whole = part.last or kind.is_stream
    else:
        whole = True
    match form:
        case "parquet":
            return _Parquet("none" if compression == "none" else PARQUET_DATA)
        case "tar":
            inner: Writer = _Tar(whole=whole)
        case "csv":
            first = part.first or pipeline.output.format != "same"
            rule = csv_of(part.path, pipeline.csv)
            inner = _Csv(rule.delimiter, header=first and rule.header)
        case _:
            inner = _Jsonl()
    if compression in ("none", "auto"):
        return inner
    return _Compressed(inner, compression)


class _Jsonl:
    def add(self, chunk: Chunk) -> Iterator[bytes]:
        if chunk.frame.height:
            yield to_jsonl(chunk.frame)

    def end(self) -> Iterator[bytes]:
        yield from ()


class _Csv:
    def __init__(self, delimiter: str, *, header: bool) -> None:
        self._delimiter = delimiter
        self._header = header
        self._columns: list[str] | None = None

    def add(self, chunk: Chunk) -> Iterator[bytes]:
        frame = chunk.frame
        if self._columns is not None and frame.columns != self._columns:
            raise differing(chunk)
        for name, dtype in frame.schema.items():
            if dtype.is_nested() or isinstance(dtype, pl.Binary):
                what = f"column {name} of {chunk.path} is {dtype}, which csv cannot say"
                raise McError("RECORDS_BAD", what, next="write jsonl or parquet")
        first = self._columns is None
        self._columns = frame.columns
        yield frame.write_csv(
            include_header=first and self._header, separator=self._delimiter
        ).encode()

    def end(self) -> Iterator[bytes]:
        yield from ()


class _Parquet:
    def __init__(self, compression: str) -> None:
        self._compression = compression
        self._sink = _Sink()
        self._writer: pq.ParquetWriter | None = None
        self._schema: pa.Schema | None = None

    def add(self, chunk: Chunk) -> Iterator[bytes]:
        try:
            table = chunk.frame.to_arrow(compat_level=pl.CompatLevel.oldest())
            if self._writer is None:
                self._schema = table.schema
                self._writer = pq.ParquetWriter(
                    self._sink, table.schema, compression=self._compression
                )
            elif table.schema != self._schema:
                table = self._as_before(chunk, table)
            # One group for each chunk, so that what was read is soon given out.
            self._writer.write_table(table, row_group_size=max(table.num_rows, 1))
        except (pa.ArrowException, pl.exceptions.PolarsError) as error:
            what = f"{chunk.path} cannot be written as Parquet: {error}"
            raise McError("RECORDS_BAD", what.splitlines()[0]) from error
        yield from self._sink.taken()

    def _as_before(self, chunk: Chunk, table: pa.Table) -> pa.Table:
        assert self._schema is not None
        if table.schema.names != self._schema.names:
            raise differing(chunk)
        return table.cast(self._schema)

    def end(self) -> Iterator[bytes]:
        if self._writer is not None:
            self._writer.close()
        yield from self._sink.taken()


class _Sink(io.RawIOBase):
    """Where Arrow writes; what it wrote is taken out again at once."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def write(self, data: object) -> int:
        piece = bytes(memoryview(data))  # type: ignore[arg-type]
        self._pieces.append(piece)
        self._at += len(piece)
        return len(piece)

    def taken(self) -> Iterator[bytes]:
        pieces, self._pieces = self._pieces, []
        if pieces:
            yield b"".join(pieces)


class _Tar:
    """Each record is the files of a sample; a column that is no bytes is text, or else JSON."""

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole
        self._size = 0
        self._records = 0

    def add(self, chunk: Chunk) -> Iterator[bytes]:
        frame = chunk.frame
        keys = frame[KEY].cast(pl.String).to_list() if KEY in frame.columns else None
        columns = [(name, _contents(frame.select(name))) for name in frame.columns if name != KEY]
        for at in range(frame.height):
            key = keys[at] if keys is not None and keys[at] else f"{self._records:09}"
            self._records += 1
            pieces = [
                _member(key, name, content)
                for name, contents in columns
                if (content := contents[at]) is not None
            ]
            data = b"".join(pieces)
            self._size += len(data)
            yield data

    def end(self) -> Iterator[bytes]:
        """Two empty blocks, only behind the last part; padded as `tar` does."""
        if self._whole:
            size = self._size + 2 * tarfile.BLOCKSIZE
            yield bytes(2 * tarfile.BLOCKSIZE + -size % tarfile.RECORDSIZE)


def _contents(column: pl.DataFrame) -> list[bytes | None]:
    dtype = column.dtypes[0]
    values = column.to_series()
    coded: list[bytes | None]
    if isinstance(dtype, pl.Binary):
        return values.to_list()
    if isinstance(dtype, pl.String):
        return [None if text is None else text.encode() for text in values]
    if dtype.is_nested():
        lines = to_jsonl(column).split(b"\n")
        skip = len(f'{{"{column.columns[0]}":')
        coded = list(line[skip:-1] for line in lines[: column.height])
    else:
        coded = [None if text is None else text.encode() for text in values.cast(pl.String)]
    return [None if value is None else text for value, text in zip(values, coded, strict=True)]


def _member(key: str, kind: str, data: bytes) -> bytes:
    name = f"{key}.{kind}" if kind != NAMELESS else key
    return tar_header(name, len(data)) + data + bytes(-len(data) % tarfile.BLOCKSIZE)


class _Compressed:
    def __init__(self, inner: Writer, compression: str) -> None:
        self._inner = inner
        if compression == "gzip":
            self._coder: _Coder = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_WINDOW)
        else:
            self._coder = zstandard.ZstdCompressor(
                level=ZSTD_LEVEL, write_checksum=True
            ).compressobj()

    def add(self, chunk: Chunk) -> Iterator[bytes]:
        for data in self._inner.add(chunk):
            if coded := self._coder.compress(data):
                yield coded

    def end(self) -> Iterator[bytes]:
        for data in self._inner.end():
            if coded := self._coder.compress(data):
                yield coded
        yield self._coder.flush()


class _Coder(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


def differing(chunk: Chunk) -> McError:
    what = f"the chunks of {chunk.path} have different columns"
    return McError("RECORDS_BAD", what, next="declare them with validate.schema")
