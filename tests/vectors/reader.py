"""A reader of chunks written from docs/formats.md alone: it shares no code with the product.

It checks everything that the page says a reader checks, and raises ValueError.
"""

import hashlib
import hmac
import json
import struct
from base64 import b64decode

import zstandard
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def need(true: bool, what: str) -> None:
    if not true:
        raise ValueError(what)


def hkdf(secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    """RFC 5869 by hand."""
    pseudorandom = hmac.digest(salt, secret, "sha256")
    out = block = b""
    for counter in range(1, -(-size // 32) + 1):
        block = hmac.digest(pseudorandom, block + info + bytes([counter]), "sha256")
        out += block
    return out[:size]


def read_chunk(file: bytes, key_id: bytes, key: bytes) -> tuple[bytes, bytes, int | None]:
    """The id, the plain bytes and the number of records."""
    need(file[:8] == b"\x89MCCHK\r\n" and file[-8:] == b"MCCHKEND", "magic")
    header_size, level = struct.unpack_from(">HH", file, 8)
    need(level == 1 and header_size == 74, "level")
    header = file[:74]
    its_key, salt, frame_size, codec, flags, declared = struct.unpack_from(">16s32sIBBQ", file, 12)
    need(its_key == key_id, "key")
    (trailer_size,) = struct.unpack(">I", file[-12:-8])
    trailer = file[-trailer_size:]
    (count,) = struct.unpack_from(">I", trailer)
    need(1 <= count <= 1024 and trailer_size == 4 + 36 * count + 80 + 12, "trailer size")
    sizes_and_leaves = [struct.unpack_from(">I32s", trailer, 4 + 36 * i) for i in range(count)]
    plain_size, records, plain_check, seal = struct.unpack_from(
        ">QQ32s32s", trailer, 4 + 36 * count
    )
    keys = hkdf(key, salt, b"multicloud chunk" + header, 96)
    need(blake3(trailer[:-44], key=keys[32:64]).digest() == seal, "seal")
    need(declared == plain_size if flags & 1 else declared == 0, "declared size")
    need(count == max(1, -(-plain_size // frame_size)), "frame count")
    plain, at = b"", 74
    for i, (size, leaf) in enumerate(sizes_and_leaves):
        sealed = file[at : at + size]
        at += size
        need(blake3(sealed).digest() == leaf, f"leaf {i}")
        nonce = i.to_bytes(11, "big") + bytes([i == count - 1])
        piece = AESGCM(keys[:32]).decrypt(nonce, sealed, blake3(header).digest())
        due = min(frame_size, plain_size - i * frame_size)
        if codec == 1:
            need(zstandard.frame_content_size(piece) == due, f"content size {i}")
            piece = zstandard.ZstdDecompressor().decompress(piece)
        need(len(piece) == due, f"size {i}")
        plain += piece
    need(at + trailer_size == len(file), "file size")
    need(blake3(blake3(plain).digest(), key=keys[64:]).digest() == plain_check, "plain check")
    return blake3(header + trailer).digest(), plain, None if records == 2**64 - 1 else records


def read_record(content: bytes, cluster_key: bytes) -> tuple[bytes, bytes]:
    """The id and the secret of the dataset key in a record of the keyring."""
    record = json.loads(content)
    need((record["format"], record["format_version"]) == ("multicloud keyring record", 1), "format")
    key_id = bytes.fromhex(record["key_id"])
    version, created = record["cluster_key_version"], record["created_unix_ms"]
    bound = b"multicloud keyring 1" + key_id + struct.pack(">IQ", version, created)
    bound += record["dataset"].encode()
    wrapping = hkdf(cluster_key, bytes(32), b"multicloud keyring 1", 32)
    nonce, wrapped = b64decode(record["nonce"]), b64decode(record["wrapped"])
    return key_id, AESGCM(wrapping).decrypt(nonce, wrapped, bound)


def duplicate_tag(key: bytes, plain: bytes) -> bytes:
    message = b"multicloud same content" + blake3(plain).digest()
    return hmac.new(key, message, hashlib.sha256).digest()
