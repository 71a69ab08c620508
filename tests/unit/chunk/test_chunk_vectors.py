"""The vectors are read by a reader that shares no code with us, and by us; we still write them."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from nodeagent.core.chunk import key_record
from nodeagent.core.chunk.codec import Codec
from nodeagent.core.chunk.keys import ClusterKey, DatasetKey, duplicate_tag
from tests.support.chunks import KEY, open_file, seal, take_apart
from tests.vectors import make, reader

FOLDER = Path(make.__file__).parent
TOLD: dict[str, Any] = json.loads((FOLDER / "vectors.json").read_text())
KEY_ID, SECRET = bytes.fromhex(TOLD["key_id"]), bytes.fromhex(TOLD["key"])
CLUSTER_SECRET = bytes.fromhex(TOLD["cluster_key"])
NAMES = sorted(TOLD["chunks"])


def test_every_vector_is_told_of() -> None:
    assert sorted(path.name for path in FOLDER.glob("chunk-*.bin")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_independent_reader_opens_a_vector(name: str) -> None:
    told = TOLD["chunks"][name]
    chunk_id, plain, records = reader.read_chunk((FOLDER / name).read_bytes(), KEY_ID, SECRET)
    assert (chunk_id.hex(), plain, records) == (
        told["id"],
        b64decode(told["plain"]),
        told["records"],
    )
    assert reader.duplicate_tag(SECRET, plain).hex() == told["duplicate_tag"]


@pytest.mark.parametrize("name", NAMES)
def test_we_open_a_vector(name: str) -> None:
    told, file = TOLD["chunks"][name], (FOLDER / name).read_bytes()
    assert open_file(file, DatasetKey(KEY_ID, SECRET)) == b64decode(told["plain"])
    assert take_apart(file)[0].chunk_id.hex() == told["id"]


def test_the_same_input_still_makes_the_vectors_that_no_compressor_touched() -> None:
    for name, plain, _, chunk in make.chunks():
        if "zstd" not in name:  # Another release of zstd may find shorter words.
            assert chunk.file == (FOLDER / f"chunk-{name}.bin").read_bytes()
            assert (
                duplicate_tag(KEY, chunk.plain_hash).hex()
                == make.told()["chunks"][f"chunk-{name}.bin"]["duplicate_tag"]
            ), plain
    assert make.record() == (FOLDER / "key-record.json").read_bytes()


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 20_000])
def test_the_independent_reader_opens_what_we_seal(size: int, codec: Codec) -> None:
    plain = bytes(number % 97 for number in range(size))
    chunk = seal(plain, codec=codec, records=size)
    assert reader.read_chunk(chunk.file, KEY.id, KEY.secret) == (chunk.id, plain, size)


def test_both_read_the_record_of_the_key() -> None:
    content = (FOLDER / "key-record.json").read_bytes()
    assert reader.read_record(content, CLUSTER_SECRET) == (KEY_ID, SECRET)
    record = key_record.decode(content, "the vector")
    cluster_key = ClusterKey(record.cluster_key_version, CLUSTER_SECRET)
    assert key_record.unwrap(record, cluster_key) == DatasetKey(KEY_ID, SECRET)
