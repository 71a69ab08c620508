"""What a cloud says of all bytes of an object, as one word of a listing: "md5:0cc1…"."""

import hashlib
import zlib
from collections.abc import Sequence
from typing import Protocol


class Hash(Protocol):
    def update(self, data: bytes, /) -> object: ...
    def digest(self) -> bytes: ...


class Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


def _crc32c() -> Hash:
    from google_crc32c import Checksum  # Of the extra for clouds.

    found: Hash = Checksum()  # type: ignore[no-untyped-call]
    return found


# The best first.
KINDS = {
    "sha256": hashlib.sha256,
    "crc32c": _crc32c,
    "md5": lambda: hashlib.md5(usedforsecurity=False),
    "crc32": Crc32,
}


def told(checksums: Sequence[tuple[str, bytes]]) -> str:
    """The best of them that can be made again; empty when there is none."""
    known = dict(checksums)
    return next((f"{kind}:{known[kind].hex()}" for kind in KINDS if known.get(kind)), "")


def begun(word: str) -> Hash | None:
    """To be fed with all bytes; None when there is nothing to compare with, or no library."""
    make = KINDS.get(word.partition(":")[0])
    try:
        return make() if make else None
    except ModuleNotFoundError:
        return None


def agrees(made: Hash, word: str) -> bool:
    return made.digest().hex() == word.partition(":")[2]


def of_bytes(kind: str, parts: Sequence[bytes]) -> bytes:
    made = KINDS[kind]()
    for part in parts:
        made.update(part)
    return made.digest()
