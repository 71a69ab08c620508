"""What level 1 adds to the trailer: sizes, a check of the plain bytes, a key holder's seal."""

from dataclasses import dataclass
from hmac import compare_digest
from struct import Struct

from blake3 import blake3

from nodeagent.core.chunk.envelope import Envelope, build_trailer, damage
from nodeagent.core.chunk.keys import ChunkKeys
from nodeagent.core.chunk.layout import END, HASH_BYTES

NOT_COUNTED = (1 << 64) - 1
_EXTRA = Struct(">QQ32s32s")  # plain_bytes, records, plain check, seal


@dataclass(frozen=True, slots=True)
class Totals:
    plain_bytes: int
    records: int | None  # None: nobody counted.
    plain_check: bytes


def encode(entries: list[tuple[int, bytes]], totals: Totals, keys: ChunkKeys) -> bytes:
    records = NOT_COUNTED if totals.records is None else totals.records
    assert 0 <= records <= NOT_COUNTED
    extra = (totals.plain_bytes, records, totals.plain_check)
    unsealed = build_trailer(entries, _EXTRA.pack(*extra, bytes(HASH_BYTES)))
    return build_trailer(entries, _EXTRA.pack(*extra, _seal(unsealed, keys)))


def decode(envelope: Envelope, keys: ChunkKeys) -> Totals:
    """Who wrote the trailer had the dataset's key."""
    if len(envelope.extra) != _EXTRA.size:
        raise damage("its trailer has no room for what level 1 adds", envelope)
    plain_bytes, records, plain_check, seal = _EXTRA.unpack(envelope.extra)
    if not compare_digest(seal, _seal(envelope.trailer, keys)):
        raise damage("its trailer was not written with this dataset's key", envelope)
    return Totals(plain_bytes, None if records == NOT_COUNTED else records, plain_check)


def plain_check(plain_hash: bytes, keys: ChunkKeys) -> bytes:
    """The plain bytes' hash, keyed: it tells nothing to a node without keys."""
    return blake3(plain_hash, key=keys.check).digest(HASH_BYTES)


def _seal(trailer: bytes, keys: ChunkKeys) -> bytes:
    """Over all that stands before it. What comes after is the length and a fixed word."""
    return blake3(trailer[: -(END.size + HASH_BYTES)], key=keys.seal).digest(HASH_BYTES)
