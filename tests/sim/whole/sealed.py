"""Real sealed chunks for what tasks and manifests hold; the same content is the same chunk."""

from functools import cache
from hashlib import blake2b
from random import Random

from tests.support.chunks import Chunk, seal

PLAIN_BYTES = 40
_BY_ID: dict[bytes, Chunk] = {}
HOLDS: dict[bytes, tuple[str, ...]] = {}  # What a chunk of data is made of.


@cache
def sealed(content: tuple[str, ...], salt: str = "") -> Chunk:
    said = "\n".join((*content, salt)).encode()
    number = int.from_bytes(blake2b(said, digest_size=8).digest(), "big")
    rng = Random(number)
    chunk = seal(rng.randbytes(PLAIN_BYTES), salt=rng.randbytes(32))
    _BY_ID[chunk.id] = chunk
    HOLDS[chunk.id] = content
    return chunk


def sealed_as(chunk_id: bytes) -> Chunk:
    return _BY_ID[chunk_id]
