"""Chunks for tests: sealed whole, taken apart, opened, as a file and in its parts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from nodeagent.core.chunk import envelope
from nodeagent.core.chunk.codec import Codec
from nodeagent.core.chunk.envelope import Envelope
from nodeagent.core.chunk.header import FRAME_BYTES_MIN
from nodeagent.core.chunk.keys import DatasetKey
from nodeagent.core.chunk.layout import END, HEAD
from nodeagent.core.chunk.open import Opener
from nodeagent.core.chunk.seal import Sealer

KEY = DatasetKey(bytes(range(16)), bytes(range(32)))
SALT = bytes(range(100, 132))
FRAME = FRAME_BYTES_MIN  # Small, so that many frames are cheap; writers use 1 MiB.


@dataclass(frozen=True)
class Chunk:
    header: bytes
    frames: tuple[bytes, ...]
    trailer: bytes
    id: bytes
    plain_hash: bytes = field(repr=False)

    @property
    def file(self) -> bytes:
        return self.header + b"".join(self.frames) + self.trailer

    def envelope(self) -> Envelope:
        return envelope.parse(self.header, self.trailer, self.id)


def seal(
    plain: bytes,
    *,
    codec: Codec = Codec.NONE,
    key: DatasetKey = KEY,
    salt: bytes = SALT,
    frame_bytes: int = FRAME,
    known: bool = False,
    records: int | None = None,
    cuts: Sequence[int] = (),
) -> Chunk:
    """Sealed in the pieces that `cuts` make."""
    declared = len(plain) if known else None
    sealer = Sealer(key, salt=salt, codec=codec, plain_bytes=declared, frame_bytes=frame_bytes)
    edges = [0, *sorted(cuts), len(plain)]
    frames = [
        bytes(frame.data)
        for start, end in pairwise(edges)
        for frame in sealer.add(plain[start:end])
    ]
    end_of = sealer.finish(records)
    frames.append(bytes(end_of.frame.data))
    return Chunk(sealer.header, tuple(frames), end_of.trailer, end_of.chunk_id, end_of.plain_hash)


def take_apart(file: bytes) -> tuple[Envelope, list[bytes]]:
    """As a walk over a disk does, knowing nothing but the bytes."""
    header = file[: envelope.header_bytes_of(file[: HEAD.size])]
    trailer = file[max(0, len(file) - envelope.trailer_bytes_of(file[-END.size :])) :]
    found = envelope.parse(header, trailer)
    found.check_file(len(file))
    return found, [file[e.offset_bytes : e.offset_bytes + e.sealed_bytes] for e in found.entries]


def open_file(file: bytes, key: DatasetKey = KEY) -> bytes:
    found, frames = take_apart(file)
    return open_whole(found, frames, key)


def open_whole(found: Envelope, frames: Sequence[bytes], key: DatasetKey = KEY) -> bytes:
    opener = Opener(found, key)
    check = opener.plain_check()
    plain = bytearray()
    for index, sealed in enumerate(frames):
        piece = opener.open_frame(index, sealed)
        check.add(piece)
        plain += piece
    check.finish()
    return bytes(plain)
