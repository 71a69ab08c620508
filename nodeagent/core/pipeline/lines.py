"""Records that are lines: which lines a range holds, in blocks of whole lines, within bounds.

A line ends with its line feed or with the object, and belongs to the range of its first byte.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from nodeagent.core.pipeline.source import Source, pieces

PIECE_BYTES = 1 << 16  # Read at once where a line's end is looked for: most lines are short.


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines that follow each other. The last of an object may lack its line end."""

    data: bytes
    offset_bytes: int


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line that is longer than a record may be; it was read over and not kept."""

    offset_bytes: int
    size_bytes: int
    start: bytes  # Some of its first bytes, for whoever looks into the matter.


Found = Block | TooLong
START_BYTES = 256


def lines_of_range(
    source: Source, begin: int, end: int, *, block_bytes: int, line_bytes_max: int
) -> Iterator[Found]:
    """The lines whose first byte lies from `begin` to before `end`."""
    first = begin if begin == 0 else _next_line(source, begin)
    if first >= end:
        return
    end = min(end, source.size_bytes)
    inside = pieces(source, first, end)
    # Behind the range only the rest of its last line is wanted: bytes may cost money.
    behind = pieces(source, end, None, PIECE_BYTES)
    yield from lines(
        chain(inside, behind),
        first,
        end - first,
        block_bytes=block_bytes,
        line_bytes_max=line_bytes_max,
    )


def _next_line(source: Source, begin: int) -> int:
    """Where the first line that begins at `begin` or later does."""
    at, size = begin - 1, PIECE_BYTES
    while at < source.size_bytes:
        piece = source.read(at, min(size, source.size_bytes - at))
        found = piece.find(b"\n")
        if found >= 0:
            return at + found + 1
        if not piece:
            break
        at += len(piece)
        size = min(size * 2, 1 << 20)
    return source.size_bytes


def lines(
    stream: Iterable[bytes],
    offset: int,
    span: int | None,
    *,
    block_bytes: int,
    line_bytes_max: int,
) -> Iterator[Found]:
    """Lines of a stream whose first byte is a line's first, at `offset` of its object.

    Those that begin within `span` bytes; None is all. At most a block and a line are held. What is
    in a block does not depend on the pieces of the stream.
    """
    assert block_bytes <= line_bytes_max, "a block that is too long is one line"
    held = bytearray()
    dropped = 0  # Bytes of the line at hand that are longer than a line may be.
    start = b""
    end = None if span is None else offset + span
    for piece in stream:
        if dropped:
            cut = piece.find(b"\n") + 1
            if not cut:
                dropped += len(piece)
                continue
            yield TooLong(offset, dropped + cut, start)
            offset += dropped + cut
            piece, dropped = piece[cut:], 0
            if end is not None and offset >= end:
                return
        held += piece
        while (taken := _whole(held, offset, end, block_bytes)) > 0:
            yield _given(_first(held, taken), offset, line_bytes_max)
            offset += taken
            del held[:taken]
            if end is not None and offset >= end:
                return
        if len(held) > line_bytes_max and held.find(b"\n") < 0:
            start, dropped = bytes(held[: min(START_BYTES, line_bytes_max)]), len(held)
            held.clear()
    if dropped:
        yield TooLong(offset, dropped, start)
        return
    while held and (end is None or offset < end):  # The object has ended.
        taken = _whole(held, offset, end, block_bytes) or len(held)
        yield _given(_first(held, taken), offset, line_bytes_max)
        offset += taken
        del held[:taken]


def _first(held: bytearray, count: int) -> bytes:
    """One copy, not two: fresh memory is what costs here."""
    with memoryview(held) as view:
        return bytes(view[:count])


def _given(data: bytes, offset: int, line_bytes_max: int) -> Found:
    """A block is longer than a line may be only when it is one line."""
    if len(data) > line_bytes_max:
        return TooLong(offset, len(data), data[: min(START_BYTES, line_bytes_max)])
    return Block(data, offset)


def _whole(held: bytearray, offset: int, end: int | None, block_bytes: int) -> int:
    """How many bytes of whole lines can be given out now; 0 when more must be read first."""
    if end is not None and offset + len(held) > end - 1:
        # The last line begins before `end`: its own end is at or behind end - 1.
        found = held.find(b"\n", max(0, end - 1 - offset))
        if found >= 0 and found + 1 <= block_bytes:
            return found + 1
    if len(held) < block_bytes:
        return 0
    found = held.rfind(b"\n", 0, block_bytes)
    if found < 0:
        found = held.find(b"\n", block_bytes)
    return found + 1
