"""Sealing: plain bytes come in pieces of any size, sealed frames go out, then trailer and id.

Memory is one frame in and one out, whatever the size of the chunk.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from multicloud.errors import McError
from nodeagent.core.chunk import trailer as trailers
from nodeagent.core.chunk.codec import Codec, coded_bytes_max, coder
from nodeagent.core.chunk.envelope import Bytes, id_of, leaf_of
from nodeagent.core.chunk.header import FRAME_BYTES, Header
from nodeagent.core.chunk.keys import DatasetKey, chunk_keys
from nodeagent.core.chunk.layout import FRAMES_MAX, HASH_BYTES

TAG_BYTES = 16
NONCE_COUNTER_BYTES = 11


@dataclass(frozen=True, slots=True)
class SealedFrame:
    index: int
    data: memoryview  # Of a reused buffer: valid until the next frame is asked for.
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Sealed:
    """The end of a chunk: its last frame, then its trailer."""

    frame: SealedFrame
    trailer: bytes
    chunk_id: bytes
    plain_bytes: int
    plain_hash: bytes  # For `duplicate_tag`; it never leaves those who may read the data.


class Sealer:
    """One chunk. `salt` is 32 random bytes never used before: all secrecy hangs on that."""

    def __init__(
        self,
        key: DatasetKey,
        *,
        salt: bytes,
        codec: Codec,
        plain_bytes: int | None = None,
        frame_bytes: int = FRAME_BYTES,
    ) -> None:
        self._declared = Header(key.id, salt, codec, plain_bytes, frame_bytes)
        self._within(plain_bytes or 0)
        self.header = self._declared.encode()
        self._aad = blake3(self.header).digest(HASH_BYTES)
        self._keys = chunk_keys(key, salt, self.header)
        self._cipher = AESGCM(self._keys.frames)
        self._coder = coder(codec)
        self._plain = memoryview(bytearray(frame_bytes))
        self._filled = 0
        self._out = memoryview(bytearray(coded_bytes_max(frame_bytes) + TAG_BYTES))
        self._hash = blake3()
        self._plain_bytes = 0
        self._entries: list[tuple[int, bytes]] = []
        self._ready = True

    def add(self, data: Bytes) -> Iterator[SealedFrame]:
        """The frames that these bytes complete: take them all. One is held back for `finish`."""
        assert self._ready, "the frames before were not all taken"
        view = memoryview(data).cast("B")
        self._within(self._plain_bytes + self._filled + len(view))
        self._ready = False
        return self._whole_frames(view)

    def _whole_frames(self, view: memoryview) -> Iterator[SealedFrame]:
        size = len(self._plain)
        while view:
            if self._filled == size:
                yield self._frame(self._plain, last=False)
                self._filled = 0
            if not self._filled and len(view) > size:  # Whole frames are sealed where they lie.
                yield self._frame(view[:size], last=False)
                view = view[size:]
                continue
            taken = min(len(view), size - self._filled)
            self._plain[self._filled : self._filled + taken] = view[:taken]
            self._filled += taken
            view = view[taken:]
        self._ready = True

    def finish(self, records: int | None = None) -> Sealed:
        """The last frame, which may be empty in an empty chunk only, and the trailer."""
        assert self._ready, "the frames before were not all taken"
        self._ready = False
        frame = self._frame(self._plain[: self._filled], last=True)
        declared = self._declared.plain_bytes
        if declared is not None and declared != self._plain_bytes:
            said = f"{declared} bytes were to be sealed and {self._plain_bytes} came"
            raise McError("FAILED", said, next="the source has changed meanwhile: read it again")
        plain_hash = self._hash.digest(HASH_BYTES)
        totals = trailers.Totals(
            self._plain_bytes, records, trailers.plain_check(plain_hash, self._keys)
        )
        trailer = trailers.encode(self._entries, totals, self._keys)
        chunk_id = id_of(self.header, trailer)
        return Sealed(frame, trailer, chunk_id, self._plain_bytes, plain_hash)

    def _frame(self, plain: memoryview, *, last: bool) -> SealedFrame:
        index = len(self._entries)
        self._hash.update(plain)
        self._plain_bytes += len(plain)
        coded = self._coder.encode(plain)
        out = self._out[: len(coded) + TAG_BYTES]
        # Into a buffer of our own: it frees the interpreter's lock and no fresh memory is touched.
        self._cipher.encrypt_into(nonce(index, last=last), coded, self._aad, out)
        leaf = leaf_of(out)
        self._entries.append((len(out), leaf))
        return SealedFrame(index, out, leaf)

    def _within(self, plain_bytes: int) -> None:
        most = self._declared.plain_bytes_max
        if plain_bytes > most:
            said = f"{plain_bytes} bytes are more than the {most} that {FRAMES_MAX} frames hold"
            raise McError("TOO_LARGE", said, next="cut it into smaller chunks")


def nonce(index: int, *, last: bool) -> bytes:
    """Which frame, and whether more follow: so none is moved, dropped or cut off."""
    return index.to_bytes(NONCE_COUNTER_BYTES, "big") + bytes([last])
