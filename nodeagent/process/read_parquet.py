"""Row groups of Parquet to frames. A group belongs to the range that holds its first byte."""

from collections.abc import Iterator
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from nodeagent.core.pipeline.source import Source, broken
from nodeagent.process.chunk import Chunk, ReadChunk

BUFFER_BYTES = 1 << 20  # Columns are read through buffers of this size, not as a whole.


def read_parquet(
    source: Source, path: str, begin: int, end: int, *, batch_bytes: int
) -> Iterator[ReadChunk]:
    """Each group in chunks of about `batch_bytes`; records are told by their group's offset."""
    file = _open(source)
    for group in range(file.metadata.num_row_groups):
        about = file.metadata.row_group(group)
        first = _first_byte(about)
        if not begin <= first < end or not about.num_rows:
            continue
        rows = max(1, about.num_rows * batch_bytes // max(about.total_byte_size, 1))
        for frame in _frames(file, group, min(rows, about.num_rows)):
            offsets = pl.Series([first], dtype=pl.UInt64).new_from_index(0, frame.height)
            yield ReadChunk(Chunk(frame, offsets, path, begin))


def _open(source: Source) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(
            pa.PythonFile(_Seekable(source), mode="r"), buffer_size=BUFFER_BYTES, pre_buffer=False
        )
    except (pa.ArrowException, OSError, ValueError) as error:
        raise broken(f"it is no Parquet that can be read: {error}") from error


def _frames(file: pq.ParquetFile, group: int, rows: int) -> Iterator[pl.DataFrame]:
    try:
        for batch in file.iter_batches(batch_size=rows, row_groups=[group], use_threads=False):
            frame = pl.from_arrow(pa.Table.from_batches([batch]))
            assert isinstance(frame, pl.DataFrame)
            yield frame
    except (pa.ArrowException, OSError, ValueError) as error:
        raise broken(f"row group {group} cannot be read: {error}") from error


def _first_byte(group: Any) -> int:
    """Where its first page begins: some columns begin with a dictionary."""
    firsts = []
    for at in range(group.num_columns):
        column = group.column(at)
        dictionary = column.dictionary_page_offset
        firsts.append(column.data_page_offset if dictionary is None else dictionary)
        firsts.append(column.data_page_offset)
    return min(firsts, default=0)


class _Seekable:
    """A source as the file that Arrow asks for."""

    closed = False

    def __init__(self, source: Source) -> None:
        self._source = source
        self._at = 0

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._at, self._source.size_bytes)[whence]
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._source.size_bytes - self._at)
        data = self._source.read(self._at, left if size < 0 else min(size, left))
        self._at += len(data)
        return data

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def flush(self) -> None:
        return None

    def close(self) -> None:
        self.closed = True
