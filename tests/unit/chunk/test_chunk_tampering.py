"""Whoever changes, cuts, moves or mixes bytes of a chunk is found out: by id, leaf and key."""

import pytest

from multicloud.errors import McError
from nodeagent.core.chunk import envelope
from nodeagent.core.chunk.codec import Codec
from nodeagent.core.chunk.envelope import build_trailer, leaf_of
from nodeagent.core.chunk.header import HEADER_BYTES
from nodeagent.core.chunk.keys import DatasetKey
from nodeagent.core.chunk.open import Opener
from tests.support.chunks import FRAME, KEY, Chunk, open_file, open_whole, seal

SMALL = seal(b"a small chunk, of one frame", known=True, records=1)
ZIPPED = seal(b"a" * 40, codec=Codec.ZSTD)
THREE = seal(bytes(range(256)) * (FRAME // 256) * 3)
OTHER = seal(b"x" * 3 * FRAME, salt=bytes(32))
TWIN = seal(b"y" * 3 * FRAME, salt=bytes(32))


def refusal(file: bytes, key: DatasetKey = KEY) -> str:
    with pytest.raises(McError) as refused:
        open_file(file, key)
    return refused.value.reason


def rebuilt(chunk: Chunk, frames: list[bytes], header: bytes | None = None) -> bytes:
    """What somebody without keys can make: leaves and sizes fit, only the seal is an old one."""
    extra = chunk.envelope().extra
    trailer = build_trailer([(len(frame), leaf_of(frame)) for frame in frames], extra)
    return (header or chunk.header) + b"".join(frames) + trailer


@pytest.mark.parametrize("chunk", [SMALL, ZIPPED], ids=["plain", "zstd"])
@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_every_flip_of_a_byte_is_refused_though_no_id_is_known(chunk: Chunk, mask: int) -> None:
    for at in range(len(chunk.file)):
        flipped = bytearray(chunk.file)
        flipped[at] ^= mask
        assert refusal(bytes(flipped)) in {"DAMAGE", "UNSUPPORTED", "KEY_MISSING"}, at


def test_every_flip_is_found_by_a_node_without_keys() -> None:
    for at in range(len(SMALL.file)):
        flipped = bytearray(SMALL.file)
        flipped[at] ^= 0x10
        header, trailer = flipped[:HEADER_BYTES], flipped[-len(SMALL.trailer) :]
        frame = flipped[HEADER_BYTES : -len(SMALL.trailer)]
        with pytest.raises(McError) as refused:
            envelope.parse(bytes(header), bytes(trailer), SMALL.id).check_frame(0, frame)
        assert refused.value.reason == "DAMAGE"


def test_every_truncation_is_refused() -> None:
    for kept in range(len(SMALL.file)):
        assert refusal(SMALL.file[:kept]) == "DAMAGE"
        assert refusal(SMALL.file[len(SMALL.file) - kept :]) == "DAMAGE"


@pytest.mark.parametrize("junk", [b"\0", SMALL.file, SMALL.trailer])
def test_whatever_stands_beside_a_chunk_is_refused(junk: bytes) -> None:
    assert refusal(SMALL.file + junk) == "DAMAGE"
    assert refusal(junk + SMALL.file) == "DAMAGE"


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 2, 1), (0, 1), (0, 2), (0, 1, 1), (0, 1, 2, 2)])
def test_frames_moved_doubled_or_left_out_are_refused(order: tuple[int, ...]) -> None:
    frames = [THREE.frames[index] for index in order]
    assert refusal(rebuilt(THREE, frames)) == "DAMAGE"


def test_the_key_alone_refuses_a_frame_in_another_place() -> None:
    """Even where leaves and trailer agree with it, the cipher does not."""
    moved = [THREE.frames[1], THREE.frames[0], THREE.frames[2]]
    assert_cipher_refuses(THREE, moved)
    assert_cipher_refuses(THREE, [THREE.frames[0], THREE.frames[1], THREE.frames[1]])


def test_the_key_alone_refuses_a_frame_of_another_chunk() -> None:
    assert_cipher_refuses(THREE, [THREE.frames[0], OTHER.frames[1], THREE.frames[2]])


def test_the_key_alone_refuses_another_header() -> None:
    assert TWIN.header == OTHER.header, "the same salt twice, which only a test may do"
    swapped = Chunk(OTHER.header, THREE.frames, THREE.trailer, b"", b"")
    assert refusal(swapped.file) == "DAMAGE"
    assert_cipher_refuses(OTHER, list(THREE.frames))


def assert_cipher_refuses(chunk: Chunk, frames: list[bytes]) -> None:
    """An opener of that chunk that is told the leaves of other frames."""
    opener = Opener(chunk.envelope(), KEY)
    opener.envelope = envelope.parse(chunk.header, rebuilt(chunk, frames)[-len(chunk.trailer) :])
    with pytest.raises(McError, match="was not sealed as this frame"):
        for index, frame in enumerate(frames):
            opener.open_frame(index, frame)


def test_a_frame_that_was_called_checked_and_is_another_is_refused_by_the_cipher() -> None:
    opener = Opener(THREE.envelope(), KEY)
    assert opener.open_frame(1, THREE.frames[1], checked=True) == bytes(range(256)) * (FRAME // 256)
    flipped = bytearray(THREE.frames[1])
    flipped[7] ^= 1
    for other in (bytes(flipped), THREE.frames[0], OTHER.frames[1], THREE.frames[1][:-1]):
        with pytest.raises(McError, match="was not sealed as this frame"):
            opener.open_frame(1, other, checked=True)


def test_a_trailer_of_another_chunk_is_refused() -> None:
    for foreign in (OTHER, TWIN):
        assert refusal(THREE.header + b"".join(THREE.frames) + foreign.trailer) == "DAMAGE"


def test_the_id_tells_two_chunks_of_one_key_apart() -> None:
    with pytest.raises(McError, match="header and trailer are of"):
        envelope.parse(OTHER.header, OTHER.trailer, THREE.id)


def test_another_key_opens_nothing() -> None:
    assert refusal(THREE.file, DatasetKey(bytes(16), KEY.secret)) == "KEY_MISSING"
    assert refusal(THREE.file, DatasetKey(KEY.id, bytes(32))) == "DAMAGE"


def test_the_plain_check_finds_a_frame_left_out_by_the_reader() -> None:
    with pytest.raises(McError, match="plain bytes are not those"):
        open_whole(THREE.envelope(), THREE.frames[:2])
