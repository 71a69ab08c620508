"""A file of a dataset as Python knows files: readable, seekable, buffered, and picklable."""

import io
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from multicloud.datasets import File
from multicloud.errors import McError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BUFFER_BYTES = 256 << 10
SKIPPED_BYTES_MAX = 1 << 20  # Bytes on their way are read over rather than asked for anew.


class Source(Protocol):
    def pieces(self, file: File, begin: int, end: int) -> Iterator[bytes]: ...
    def read_file(self, file: File, begin: int, end: int) -> bytes: ...


class _Raw(io.RawIOBase):
    """Reads here and there as single ranges. Who reads on from where it was gets a stream, which
    the node keeps a few MiB ahead.
    """

    def __init__(self, source: Source, file: File) -> None:
        self._source, self._file = source, file
        self._at = 0
        self._ended = -1  # Where the last read ended.
        self._stream: Iterator[bytes] | None = None
        self._stream_at = 0
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size_bytes}[whence]
        if base + offset < 0:
            raise ValueError(f"negative seek position {base + offset}")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: "WriteableBuffer") -> int:
        into = memoryview(buffer).cast("B")
        size = min(len(into), self._file.size_bytes - self._at)
        if size <= 0:
            return 0
        if self._at == self._ended and self._stream is None:
            self._begin()
        if self._stream is not None and not self._skip():
            self._end()
        if self._stream is None:
            into[:size] = self._source.read_file(self._file, self._at, self._at + size)
        else:
            size = self._streamed(into[:size])
        self._at = self._ended = self._at + size
        return size

    def _begin(self) -> None:
        self._stream = self._source.pieces(self._file, self._at, self._file.size_bytes)
        self._stream_at, self._rest = self._at, memoryview(b"")

    def _skip(self) -> bool:
        """Whether the stream is where we are, or shortly before."""
        ahead = self._at - self._stream_at
        if not 0 <= ahead <= SKIPPED_BYTES_MAX:
            return False
        while ahead:
            self._fill()
            over = min(ahead, len(self._rest))
            self._rest = self._rest[over:]
            self._stream_at += over
            ahead -= over
        return True

    def _streamed(self, into: memoryview) -> int:
        self._fill()
        size = min(len(into), len(self._rest))
        into[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        self._stream_at += size
        return size

    def _fill(self) -> None:
        assert self._stream is not None
        try:
            while not self._rest:
                self._rest = memoryview(next(self._stream))
        except McError:
            self._end()
            raise

    def _end(self) -> None:
        stream, self._stream = self._stream, None
        self._rest = memoryview(b"")
        if stream is not None:
            stream.close()  # type: ignore[attr-defined]  # It is a generator.

    def close(self) -> None:
        self._end()
        super().close()


class OpenFile(io.BufferedReader):
    """What `open("mc://…")` gives; whatever takes a file opened with "rb" takes it.

    A thread that seeks reads where it sought, whatever other threads do with the file in between:
    DuckDB gives one file to many threads, and would read the wrong bytes without a word.
    """

    def __init__(self, source: Source, file: File, buffer_bytes: int = BUFFER_BYTES) -> None:
        super().__init__(_Raw(source, file), buffer_bytes)
        self._source, self._buffer_bytes = source, buffer_bytes
        self.file = file
        self._lock = threading.RLock()
        self._mover = 0  # The thread that moved last.
        self._own = threading.local()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with self._lock:
            self._go_back()
            self._own.at = super().seek(offset, whence)
            return int(self._own.at)

    def read(self, size: int | None = -1) -> bytes:
        with self._lock:
            self._go_back()
            data = super().read(size)
            if hasattr(self._own, "at"):
                self._own.at = super().tell()
            return data

    def _go_back(self) -> None:
        """To where this thread was, if another one moved since."""
        me = threading.get_ident()
        if self._mover not in (0, me) and hasattr(self._own, "at"):
            super().seek(self._own.at)
        self._mover = me

    @property
    def name(self) -> str:
        return str(self.file)

    @property
    def size(self) -> int:
        """As fsspec's files have it."""
        return self.file.size_bytes

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _again, (self._source, self.file, self._buffer_bytes, self.tell())


def _again(source: Source, file: File, buffer_bytes: int, at: int) -> OpenFile:
    opened = OpenFile(source, file, buffer_bytes)
    opened.seek(at)
    return opened
