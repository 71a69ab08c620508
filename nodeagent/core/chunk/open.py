"""Opening: any frame of a chunk to its plain bytes, all of it verified or none of it returned."""

from hmac import compare_digest

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from multicloud.errors import McError
from nodeagent.core.chunk import header as headers
from nodeagent.core.chunk import trailer as trailers
from nodeagent.core.chunk.codec import coded_bytes_max, coder
from nodeagent.core.chunk.envelope import Bytes, Envelope, damage
from nodeagent.core.chunk.keys import ChunkKeys, DatasetKey, chunk_keys
from nodeagent.core.chunk.layout import HASH_BYTES
from nodeagent.core.chunk.seal import TAG_BYTES, nonce


class Opener:
    """One chunk, whose header names the key: `header.decode(envelope.header).key_id`.

    Give `envelope.parse` the id that you want: without it this shows only that somebody
    with the dataset's key sealed it.
    """

    def __init__(self, envelope: Envelope, key: DatasetKey) -> None:
        self.envelope = envelope
        self.header = headers.decode(envelope.header)
        if key.id != self.header.key_id:
            said = f"the chunk is sealed with key {self.header.key_id.hex()}, not {key.id.hex()}"
            raise McError("KEY_MISSING", said, facts={"key": self.header.key_id.hex()})
        self._keys = chunk_keys(key, self.header.salt, envelope.header)
        self.totals = trailers.decode(envelope, self._keys)
        self._aad = blake3(envelope.header).digest(HASH_BYTES)
        self._cipher = AESGCM(self._keys.frames)
        self._coder = coder(self.header.codec)
        self._check_sizes()
        most = min(self.header.frame_bytes, self.totals.plain_bytes)
        self._out = memoryview(bytearray(coded_bytes_max(most)))

    @property
    def plain_bytes(self) -> int:
        return self.totals.plain_bytes

    @property
    def frame_count(self) -> int:
        return len(self.envelope.entries)

    def frames_of(self, offset_bytes: int, size_bytes: int) -> range:
        """The frames that hold these plain bytes, as far as there are any."""
        assert min(offset_bytes, size_bytes) >= 0
        end = min(offset_bytes + size_bytes, self.plain_bytes)
        if offset_bytes >= end:
            return range(0)
        step = self.header.frame_bytes
        return range(offset_bytes // step, (end - 1) // step + 1)

    def frame_plain_bytes(self, index: int) -> int:
        """Every frame is full but the last."""
        step = self.header.frame_bytes
        return min(step, self.plain_bytes - index * step)

    def open_frame(self, index: int, sealed: Bytes, *, checked: bool = False) -> Bytes:
        """The plain bytes of one frame, in a reused buffer: valid until the next call.

        `checked` says that it was compared with its leaf before, as whoever fetches one does. Bytes
        that were not sealed as this frame are found out by the cipher all the same.
        """
        if not checked:
            self.envelope.check_frame(index, sealed)
        last = index == self.frame_count - 1
        coded = self._out[: len(sealed) - TAG_BYTES]
        try:
            self._cipher.decrypt_into(nonce(index, last=last), sealed, self._aad, coded)
        except InvalidTag as error:
            raise damage(f"frame {index} was not sealed as this frame", self.envelope) from error
        return self._coder.decode(coded, self.frame_plain_bytes(index))

    def _check_sizes(self) -> None:
        """What the parts say about sizes agrees, before anything is made of it."""
        declared, step = self.header.plain_bytes, self.header.frame_bytes
        if declared not in (None, self.plain_bytes):
            raise damage("its header and trailer tell different sizes", self.envelope)
        if self.frame_count != max(1, -(-self.plain_bytes // step)):
            raise damage(f"{self.frame_count} frames are not those of its size", self.envelope)
        for index, entry in enumerate(self.envelope.entries):
            coded_bytes = entry.sealed_bytes - TAG_BYTES
            if not self._coder.fits(coded_bytes, self.frame_plain_bytes(index)):
                raise damage(f"the size of frame {index} cannot be", self.envelope)

    def plain_check(self) -> "PlainCheck":
        return PlainCheck(self, self._keys)


class PlainCheck:
    """For who opens the whole chunk in order: at the end, the bytes are those that were sealed."""

    def __init__(self, opener: Opener, keys: ChunkKeys) -> None:
        self._opener = opener
        self._keys = keys
        self._hash = blake3()

    def add(self, plain: Bytes) -> None:
        self._hash.update(plain)

    def finish(self) -> bytes:
        """The plain hash, of which `duplicate_tag` is made."""
        plain_hash = self._hash.digest(HASH_BYTES)
        found = trailers.plain_check(plain_hash, self._keys)
        if not compare_digest(found, self._opener.totals.plain_check):
            raise damage("the plain bytes are not those that were sealed", self._opener.envelope)
        return plain_hash
