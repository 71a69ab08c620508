"""What a node without keys can know and check of a chunk of any level: sizes, leaves, id.

Relaying, storing and scrubbing stand on this. Whatever does not fit is DAMAGE.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hmac import compare_digest
from itertools import accumulate

from blake3 import blake3

from multicloud.errors import McError
from nodeagent.core.chunk.layout import (
    COUNT,
    END,
    END_MAGIC,
    ENTRY,
    FRAME_SEALED_BYTES_MAX,
    FRAMES_MAX,
    HASH_BYTES,
    HEAD,
    HEADER_BYTES_MAX,
    MAGIC,
    TRAILER_BYTES_MAX,
    TRAILER_EXTRA_BYTES_MAX,
)

Bytes = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Entry:
    """One frame as the trailer names it, and where it stands in the file."""

    offset_bytes: int
    sealed_bytes: int
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A header and a trailer that fit each other; `extra` is for those who know the level."""

    chunk_id: bytes
    level: int
    header: bytes
    trailer: bytes
    entries: tuple[Entry, ...]
    extra: bytes

    @property
    def file_bytes(self) -> int:
        last = self.entries[-1]
        return last.offset_bytes + last.sealed_bytes + len(self.trailer)

    def check_file(self, file_bytes: int) -> None:
        """A file of that size has these parts, and nothing beside them."""
        if file_bytes != self.file_bytes:
            said = f"its file has {file_bytes} bytes and its parts have {self.file_bytes}"
            raise damage(said, self)

    def check_frame(self, index: int, sealed: Bytes) -> None:
        """The bytes are those of that frame."""
        if not 0 <= index < len(self.entries):
            raise damage(f"it has {len(self.entries)} frames, and none numbered {index}", self)
        entry = self.entries[index]
        if len(sealed) != entry.sealed_bytes or not compare_digest(leaf_of(sealed), entry.leaf):
            raise damage(f"the bytes of frame {index} are not those that were sealed", self)


def parse(header: bytes, trailer: bytes, chunk_id: bytes | None = None) -> Envelope:
    """The envelope; with an id, what is returned is that chunk and no other."""
    level = level_of(header)
    found = id_of(header, trailer)
    if chunk_id is not None and not compare_digest(found, chunk_id):
        raise damage(f"header and trailer are of {found.hex()}, not of {chunk_id.hex()}")
    if len(trailer) != trailer_bytes_of(trailer[-END.size :]):
        raise damage("the trailer is longer or shorter than it says")
    (count,) = COUNT.unpack_from(trailer)
    extra_at = COUNT.size + count * ENTRY.size
    extra_bytes = len(trailer) - END.size - extra_at
    if not 1 <= count <= FRAMES_MAX or not 0 <= extra_bytes <= TRAILER_EXTRA_BYTES_MAX:
        raise damage(f"the trailer of {len(trailer)} bytes has no room for its {count} frames")
    listed = list(ENTRY.iter_unpack(trailer[COUNT.size : extra_at]))
    if not all(1 <= size <= FRAME_SEALED_BYTES_MAX for size, _ in listed):
        raise damage("the trailer names a frame that is empty or larger than any may be")
    offsets = accumulate((size for size, _ in listed), initial=len(header))
    entries = tuple(
        Entry(offset, size, leaf) for offset, (size, leaf) in zip(offsets, listed, strict=False)
    )
    extra = trailer[extra_at : -END.size]
    return Envelope(found, level, header, trailer, entries, extra)


def level_of(header: bytes) -> int:
    """The level of a whole header."""
    if len(header) != header_bytes_of(header[: HEAD.size]):
        raise damage("the header is longer or shorter than it says")
    level = int(HEAD.unpack_from(header)[2])
    if level < 1:
        raise damage("its format level is 0, which does not exist")
    return level


def header_bytes_of(head: bytes) -> int:
    """How long the header is, by a chunk's first `HEAD.size` bytes."""
    if len(head) != HEAD.size or not head.startswith(MAGIC):
        raise damage("it does not begin as a chunk does")
    size = int(HEAD.unpack(head)[1])
    if not HEAD.size <= size <= HEADER_BYTES_MAX:
        raise damage(f"its header says that it has {size} bytes")
    return size


def trailer_bytes_of(end: bytes) -> int:
    """How long the trailer is, by a chunk's last `END.size` bytes."""
    if len(end) != END.size or not end.endswith(END_MAGIC):
        raise damage("it does not end as a chunk does")
    size = int(END.unpack(end)[0])
    if not COUNT.size + END.size <= size <= TRAILER_BYTES_MAX:
        raise damage(f"its trailer says that it has {size} bytes")
    return size


def build_trailer(entries: Iterable[tuple[int, bytes]], extra: bytes) -> bytes:
    """A trailer of frames, each its sealed size and leaf, and what the level adds."""
    listed = [ENTRY.pack(size, leaf) for size, leaf in entries]
    assert 1 <= len(listed) <= FRAMES_MAX
    assert len(extra) <= TRAILER_EXTRA_BYTES_MAX
    body = COUNT.pack(len(listed)) + b"".join(listed) + extra
    return body + END.pack(len(body) + END.size, END_MAGIC)


def id_of(header: bytes, trailer: bytes) -> bytes:
    return blake3(header).update(trailer).digest(HASH_BYTES)


def leaf_of(sealed: Bytes) -> bytes:
    return blake3(sealed).digest(HASH_BYTES)


def damage(why: str, envelope: Envelope | None = None) -> McError:
    facts = {"chunk": envelope.chunk_id.hex()} if envelope else {}
    which = f"chunk {facts['chunk']}" if facts else "this chunk"
    return McError("DAMAGE", f"{which} is refused: {why}", facts=facts)
