"""docs/formats.md tells the chunk format as it is: its example, its fields, its numbers."""

import json
import re
from pathlib import Path

from nodeagent.core.chunk import codec, header, key_record, keys, layout
from tests.support.chunks import KEY, take_apart
from tests.unit.test_docs_formats import fields_of, section
from tests.vectors import make

CHUNKS, KEYRING = section("Chunks"), section("Keyring")
BYTE = (Path(make.__file__).parent / "chunk-byte.bin").read_bytes()


def test_the_example_is_the_vector_byte_by_byte() -> None:
    rows = re.findall(
        r"^ *(\d+)  ((?:[0-9a-f]{2} ?)+)", CHUNKS.split("### Example")[1], re.MULTILINE
    )
    at = 0
    for offset, row in rows:
        assert int(offset) == at
        assert bytes.fromhex(row) == BYTE[at : at + len(bytes.fromhex(row))]
        at += len(bytes.fromhex(row))
    assert at == len(BYTE)
    assert f"`{take_apart(BYTE)[0].chunk_id.hex()}`" in CHUNKS


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    told = {
        f"`{layout.MAGIC.hex(' ')}`",
        f"`{layout.END_MAGIC.decode()}`",
        f"{layout.HEAD.size} to {layout.HEADER_BYTES_MAX}",
        f"1 to {layout.FRAMES_MAX}",
        f"1 to {layout.FRAME_SEALED_BYTES_MAX:,} (2 MiB and 64 KiB)",
        f"up to {layout.TRAILER_EXTRA_BYTES_MAX}",
        f"{layout.ENTRY.size} n",
        f"The header has {header.HEADER_BYTES} bytes",
        f"from {header.FRAME_BYTES_MIN} to {header.FRAME_BYTES_MAX:,}, which is what writers use",
        f"so far {header.LEVEL_MAX}",
        f"at most {codec.RATIO_MAX:,} times",
        f"less than {codec.PAYS_BELOW} of them",
        f"samples of {codec.SAMPLE_BYTES} bytes",
        f"up to {codec.SAMPLES * codec.SAMPLE_BYTES:,} bytes",
        f"`{keys.CHUNK_CONTEXT.decode()}`",
    }
    assert {words for words in told if words not in CHUNKS} == set()
    assert header.FRAME_BYTES == header.FRAME_BYTES_MAX
    most_kib = (layout.HEADER_BYTES_MAX + layout.TRAILER_BYTES_MAX) / 1024
    assert f"at most {-(-most_kib // 1):.0f} KiB" in CHUNKS


def test_the_keyring_s_words_and_fields_are_on_the_page() -> None:
    assert fields_of("Keyring") == set(json.loads(make.record()))
    for context in (key_record.WRAP_CONTEXT, keys.SAME_CONTEXT):
        assert f"`{context.decode()}`" in KEYRING
    assert f"{key_record.NONCE_BYTES} and {key_record.WRAPPED_BYTES} bytes" in KEYRING
    assert f"1 to {key_record.DATASET_BYTES_MAX} bytes" in KEYRING
    assert KEY.id == bytes(range(16))
    assert KEY.secret == bytes(range(32))
