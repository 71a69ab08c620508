"""A chunk that arrives part by part: each is checked, without a key, before it goes on.

What the trailer names at the end is exactly what was let through before, or it is DAMAGE.
"""

from hmac import compare_digest

from multicloud.errors import McError
from nodeagent.core.chunk.envelope import (
    Bytes,
    Entry,
    Envelope,
    damage,
    leaf_of,
    level_of,
    parse,
)
from nodeagent.core.chunk.layout import (
    FRAME_SEALED_BYTES_MAX,
    FRAMES_MAX,
    HASH_BYTES,
    TRAILER_BYTES_MAX,
)


class Arrival:
    """One chunk: header, frames in order, trailer. `file_bytes_max` is the room it was given."""

    def __init__(self, header: bytes, file_bytes_max: int) -> None:
        self.level = level_of(header)
        self._header = header
        self._file_bytes = len(header)
        self._file_bytes_max = file_bytes_max
        self._entries: list[Entry] = []
        self._spend(0)

    @property
    def frames(self) -> int:
        return len(self._entries)

    def frame(self, index: int, sealed: Bytes, leaf: bytes) -> None:
        """Lets the next frame through."""
        if index != len(self._entries):
            raise damage(f"frame {index} came where frame {len(self._entries)} was due")
        if index >= FRAMES_MAX:
            raise damage(f"it has more than {FRAMES_MAX} frames")
        if not 1 <= len(sealed) <= FRAME_SEALED_BYTES_MAX:
            raise damage(
                f"frame {index} has {len(sealed)} bytes, {FRAME_SEALED_BYTES_MAX} are allowed"
            )
        if len(leaf) != HASH_BYTES or not compare_digest(leaf_of(sealed), leaf):
            raise damage(f"the bytes of frame {index} do not match their leaf")
        offset_bytes = self._file_bytes
        self._spend(len(sealed))
        self._entries.append(Entry(offset_bytes, len(sealed), bytes(leaf)))

    def trailer(self, trailer: bytes, chunk_id: bytes) -> Envelope:
        """The whole chunk is here and is the one of that id."""
        if len(trailer) > TRAILER_BYTES_MAX:
            raise damage(f"its trailer has {len(trailer)} bytes, {TRAILER_BYTES_MAX} are allowed")
        self._spend(len(trailer))
        envelope = parse(self._header, trailer, chunk_id)
        if envelope.entries != tuple(self._entries):
            raise damage("its trailer names other frames than those that came", envelope)
        return envelope

    def _spend(self, size_bytes: int) -> None:
        self._file_bytes += size_bytes
        if self._file_bytes > self._file_bytes_max:
            said = f"the chunk takes more than the {self._file_bytes_max} bytes that it asked for"
            raise McError("TOO_LARGE", said, next="announce the size that the chunk has")
