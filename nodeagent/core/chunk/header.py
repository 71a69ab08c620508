"""The header of level 1: which key, which salt, how the frames are made."""

from dataclasses import dataclass
from struct import Struct

from multicloud.errors import McError
from nodeagent.core.chunk.codec import Codec
from nodeagent.core.chunk.envelope import damage, level_of
from nodeagent.core.chunk.keys import KEY_ID_BYTES
from nodeagent.core.chunk.layout import FRAMES_MAX, HEAD, MAGIC

LEVEL = 1
LEVEL_MAX = LEVEL  # The highest that this release reads.
SALT_BYTES = 32
FRAME_BYTES = 1 << 20  # What writers use.
FRAME_BYTES_MIN, FRAME_BYTES_MAX = 4096, 1 << 20
PLAIN_BYTES_KNOWN = 1  # The one flag; every other bit is 0.

_BODY = Struct(">16s32sIBBQ")
HEADER_BYTES = HEAD.size + _BODY.size


@dataclass(frozen=True, slots=True)
class Header:
    key_id: bytes
    salt: bytes
    codec: Codec
    plain_bytes: int | None = None  # None: not known when the sealing began.
    frame_bytes: int = FRAME_BYTES

    @property
    def plain_bytes_max(self) -> int:
        return FRAMES_MAX * self.frame_bytes

    def encode(self) -> bytes:
        assert len(self.key_id) == KEY_ID_BYTES
        assert len(self.salt) == SALT_BYTES
        assert _is_frame_size(self.frame_bytes)
        known = self.plain_bytes is not None
        return HEAD.pack(MAGIC, HEADER_BYTES, LEVEL) + _BODY.pack(
            self.key_id,
            self.salt,
            self.frame_bytes,
            self.codec,
            PLAIN_BYTES_KNOWN if known else 0,
            self.plain_bytes or 0,
        )


def decode(header: bytes) -> Header:
    """The header, or UNSUPPORTED for a level that this release does not know."""
    level = level_of(header)
    if level > LEVEL_MAX:
        raise McError(
            "UNSUPPORTED",
            f"the chunk has format level {level}, and this release reads up to {LEVEL_MAX}",
            next="read it with a newer release",
            facts={"level": str(level), "level_max": str(LEVEL_MAX)},
        )
    if len(header) != HEADER_BYTES:
        raise damage(f"a header of level {LEVEL} has {HEADER_BYTES} bytes, not {len(header)}")
    key_id, salt, frame_bytes, codec, flags, plain_bytes = _BODY.unpack_from(header, HEAD.size)
    if codec not in (Codec.NONE, Codec.ZSTD):
        raise damage(f"its codec {codec} does not exist in level {LEVEL}")
    if not _is_frame_size(frame_bytes):
        raise damage(f"its frames of {frame_bytes} bytes do not exist in level {LEVEL}")
    if flags & ~PLAIN_BYTES_KNOWN or (not flags and plain_bytes):
        raise damage(f"its flags are {flags:#04x} beside a size of {plain_bytes}")
    if plain_bytes > FRAMES_MAX * frame_bytes:
        raise damage(f"its {plain_bytes} bytes do not fit into {FRAMES_MAX} frames")
    known = bool(flags & PLAIN_BYTES_KNOWN)
    return Header(key_id, salt, Codec(codec), plain_bytes if known else None, frame_bytes)


def _is_frame_size(frame_bytes: int) -> bool:
    power_of_two = frame_bytes & (frame_bytes - 1) == 0
    return power_of_two and FRAME_BYTES_MIN <= frame_bytes <= FRAME_BYTES_MAX
