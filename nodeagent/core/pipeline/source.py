"""What readers of records need of an object, wherever it lies, and reading it from end to end."""

from collections.abc import Iterator
from typing import Protocol

from multicloud.errors import McError

READ_BYTES = 1 << 20  # At once, when everything is wanted.


class Source(Protocol):
    @property
    def size_bytes(self) -> int: ...
    def read(self, offset_bytes: int, size_bytes: int) -> bytes:
        """Exactly so many bytes, fewer only where the object ends. The object never changes."""
        ...


class BytesSource:
    """An object that lies in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size_bytes(self) -> int:
        return len(self._data)

    def read(self, offset_bytes: int, size_bytes: int) -> bytes:
        return self._data[offset_bytes : offset_bytes + size_bytes]


def pieces(
    source: Source, begin: int = 0, end: int | None = None, piece_bytes: int = READ_BYTES
) -> Iterator[bytes]:
    """Its bytes in order. Shorter than was promised is broken, and said."""
    end = source.size_bytes if end is None else end
    while begin < end:
        wanted = min(piece_bytes, end - begin)
        data = source.read(begin, wanted)
        if len(data) != wanted:
            raise broken(f"it ends at byte {begin + len(data)}, not at {source.size_bytes}")
        yield data
        begin += wanted


def broken(what: str) -> McError:
    """An object that is not what its format asks for. Whoever knows its path adds that."""
    return McError("INPUT_BROKEN", what)
