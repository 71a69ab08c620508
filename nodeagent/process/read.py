"""Chooses how a range is read: by the kind of its object, plain or as a stream."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from nodeagent.core.pipeline.cut import Part
from nodeagent.core.pipeline.kinds import FileKind
from nodeagent.core.pipeline.lines import Block, Found, lines, lines_of_range
from nodeagent.core.pipeline.model import Csv
from nodeagent.core.pipeline.source import Source, broken, pieces
from nodeagent.core.pipeline.streams import plain_pieces
from nodeagent.process.chunk import ReadChunk
from nodeagent.process.read_csv import header_of, read_csv
from nodeagent.process.read_jsonl import read_jsonl
from nodeagent.process.read_parquet import read_parquet
from nodeagent.process.read_tar import read_tar

HEADER_BYTES_MAX = 1 << 20
UNKNOWN_BYTES = 1 << 62  # Of a stream, before it was read.


@dataclass(frozen=True, slots=True)
class Bounds:
    """Fixed at submit: with other bounds the same task would give other bytes."""

    chunk_bytes: int = 80 << 20  # Of records that steps see at once: a range and a bit.
    record_bytes_max: int = 256 << 20

    def __post_init__(self) -> None:
        assert self.chunk_bytes <= self.record_bytes_max, "a chunk that is too long is one record"


@dataclass(frozen=True, slots=True)
class Reading:
    kind: FileKind
    part: Part
    source: Source
    bounds: Bounds
    csv: Csv
    whole_parquet: bool
    schema: pa.Schema | None  # Of JSON, where the first step asks for one.

    def chunks(self) -> Iterator[ReadChunk]:
        """The records of the range; of what cannot be split, all with the range of byte 0."""
        if self._indivisible and not self.part.first:
            return
        match self.kind.format:
            case "jsonl":
                begin = self.part.offset_bytes
                yield from read_jsonl(self._lines(), self.part.path, begin, self.schema)
            case "csv":
                yield from self._csv_chunks()
            case "parquet":
                yield from self._parquet_chunks()
            case "tar":
                yield from self._tar_chunks()

    @property
    def _indivisible(self) -> bool:
        form = self.kind.format
        return (
            self.kind.is_stream
            or (form == "csv" and self.csv.quoted_newlines)
            or (form == "parquet" and self.whole_parquet)
        )

    @property
    def _end(self) -> int:
        return self.source.size_bytes if self._indivisible else self.part.end

    def _lines(self) -> Iterator[Found]:
        block, most = self.bounds.chunk_bytes, self.bounds.record_bytes_max
        if self.kind.is_stream:
            plain = plain_pieces(self.kind.compression, pieces(self.source))
            return lines(plain, 0, None, block_bytes=block, line_bytes_max=most)
        begin = self.part.offset_bytes
        return lines_of_range(self.source, begin, self._end, block_bytes=block, line_bytes_max=most)

    def _csv_chunks(self) -> Iterator[ReadChunk]:
        columns = None
        if not self.part.first:
            most = HEADER_BYTES_MAX
            found = lines_of_range(self.source, 0, 1, block_bytes=most, line_bytes_max=most)
            head = next(iter(found), None)
            if not isinstance(head, Block):
                raise broken(f"its header is longer than {most} bytes")
            columns = header_of(head.data, self.csv)
        yield from read_csv(
            self._lines(),
            self.part.path,
            self.part.offset_bytes,
            self.csv,
            columns=columns,
            batch_bytes=self.bounds.chunk_bytes,
            record_bytes_max=self.bounds.record_bytes_max,
        )

    def _parquet_chunks(self) -> Iterator[ReadChunk]:
        if self.kind.is_stream:
            raise broken("it is Parquet inside a compressed file, which cannot be read in place")
        begin, path = self.part.offset_bytes, self.part.path
        batch_bytes = self.bounds.chunk_bytes
        yield from read_parquet(self.source, path, begin, self._end, batch_bytes=batch_bytes)

    def _tar_chunks(self) -> Iterator[ReadChunk]:
        source, end = self.source, self._end
        if self.kind.is_stream:
            source = _Forward(plain_pieces(self.kind.compression, pieces(self.source)))
            end = UNKNOWN_BYTES
        yield from read_tar(
            source,
            self.part.path,
            self.part.offset_bytes,
            end,
            batch_bytes=self.bounds.chunk_bytes,
            record_bytes_max=self.bounds.record_bytes_max,
        )


class _Forward:
    """A stream as a source that is read from its start to its end, gaps allowed."""

    size_bytes = UNKNOWN_BYTES

    def __init__(self, stream: Iterator[bytes]) -> None:
        self._stream = stream
        self._held = bytearray()
        self._at = 0

    def read(self, offset_bytes: int, size_bytes: int) -> bytes:
        assert offset_bytes >= self._at, "an archive is walked forward"
        while self._at + len(self._held) < offset_bytes + size_bytes:
            piece = next(self._stream, None)
            if piece is None:
                break
            self._held += piece
            passed = min(len(self._held), offset_bytes - self._at)
            del self._held[:passed]
            self._at += passed
        passed = min(len(self._held), offset_bytes - self._at)
        del self._held[:passed]
        self._at += passed
        return bytes(self._held[:size_bytes]) if self._at == offset_bytes else b""
