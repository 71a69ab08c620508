"""Makes the vectors: `python -m tests.vectors.make`. Once released, none is ever made anew.

Keys and salts are fixed, and stand in vectors.json: nothing here is a secret.
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nodeagent.core.chunk import key_record
from nodeagent.core.chunk.codec import Codec
from nodeagent.core.chunk.keys import ClusterKey, duplicate_tag
from tests.support.chunks import KEY, SALT, Chunk, seal

FOLDER = Path(__file__).parent
CLUSTER_KEY = ClusterKey(3, bytes(range(64, 96)))
LINES = b"".join(b'{"id": %d, "text": "the quick brown fox"}\n' % number for number in range(250))
NUMBERS = bytes(number * number * 7 // 3 % 251 for number in range(8192))


def chunks() -> Iterator[tuple[str, bytes, int | None, Chunk]]:
    """Name, plain bytes, records, chunk."""
    yield "empty", b"", None, seal(b"")
    yield "byte", b"m", None, seal(b"m", known=True)
    yield "two-frames", NUMBERS, None, seal(NUMBERS, known=True)
    lines = seal(LINES, codec=Codec.ZSTD, records=250)
    yield "lines-zstd", LINES, 250, lines


def record() -> bytes:
    wrapped = key_record.wrap(
        KEY,
        CLUSTER_KEY,
        dataset="corpus",
        created_unix_ms=1_800_000_000_000,
        nonce=bytes(range(12)),
    )
    return key_record.encode(wrapped)


def told() -> dict[str, Any]:
    return {
        "key_id": KEY.id.hex(),
        "key": KEY.secret.hex(),
        "salt": SALT.hex(),
        "cluster_key": CLUSTER_KEY.secret.hex(),
        "chunks": {
            f"chunk-{name}.bin": {
                "id": chunk.id.hex(),
                "plain": base64.b64encode(plain).decode(),
                "records": records,
                "duplicate_tag": duplicate_tag(KEY, chunk.plain_hash).hex(),
            }
            for name, plain, records, chunk in chunks()
        },
    }


if __name__ == "__main__":
    for name, _, _, chunk in chunks():
        (FOLDER / f"chunk-{name}.bin").write_bytes(chunk.file)
    (FOLDER / "key-record.json").write_bytes(record())
    (FOLDER / "vectors.json").write_text(json.dumps(told(), indent=1) + "\n")
