"""Keys, and what is made of them: the keys of one chunk, the tag that finds duplicates.

A secret is in no `repr`. Randomness is given in; 32 random bytes make a key.
"""

import hmac
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
KEY_ID_BYTES = 16
CHUNK_CONTEXT = b"multicloud chunk"
SAME_CONTEXT = b"multicloud same content"


@dataclass(frozen=True, slots=True)
class DatasetKey:
    """What the chunks of one dataset are sealed with; the id is random and for ever."""

    id: bytes
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        assert len(self.id) == KEY_ID_BYTES
        assert len(self.secret) == KEY_BYTES


@dataclass(frozen=True, slots=True)
class ClusterKey:
    """What dataset keys are wrapped with; each rotation counts the version up."""

    version: int
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        assert 0 < self.version < 1 << 32
        assert len(self.secret) == KEY_BYTES


@dataclass(frozen=True, slots=True)
class ChunkKeys:
    """One chunk's own keys: of its frames, of its trailer's seal, of its plain check."""

    frames: bytes = field(repr=False)
    seal: bytes = field(repr=False)
    check: bytes = field(repr=False)


def chunk_keys(key: DatasetKey, salt: bytes, header: bytes) -> ChunkKeys:
    """Another header or salt gives other keys, so no key meets the same nonce twice."""
    derived = derive(key.secret, CHUNK_CONTEXT + header, salt=salt, length_bytes=3 * KEY_BYTES)
    return ChunkKeys(
        derived[:KEY_BYTES], derived[KEY_BYTES : 2 * KEY_BYTES], derived[2 * KEY_BYTES :]
    )


def duplicate_tag(key: DatasetKey, plain_hash: bytes) -> bytes:
    """The same for the same content within a dataset, and telling nothing to who has no key."""
    return hmac.digest(key.secret, SAME_CONTEXT + plain_hash, "sha256")


def derive(secret: bytes, context: bytes, *, salt: bytes = b"", length_bytes: int) -> bytes:
    """HKDF-SHA256 (RFC 5869)."""
    return HKDF(SHA256(), length_bytes, salt or None, context).derive(secret)
