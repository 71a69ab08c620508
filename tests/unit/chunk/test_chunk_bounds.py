"""Whatever a stranger writes into a chunk meets a typed refusal, before memory is spent on it."""

import struct
import tracemalloc

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from multicloud.errors import McError
from nodeagent.core.chunk import envelope, header
from nodeagent.core.chunk.arrival import Arrival
from nodeagent.core.chunk.codec import RATIO_MAX, Codec, coded_bytes_max, coder
from nodeagent.core.chunk.layout import (
    COUNT,
    END,
    END_MAGIC,
    ENTRY,
    FRAME_SEALED_BYTES_MAX,
    HEAD,
    MAGIC,
    TRAILER_BYTES_MAX,
)
from tests.support.chunks import FRAME, open_file, seal

CHUNK = seal(b"0123456789" * 1000)
ROOM = 1 << 30


def damaged(call: object, *arguments: object) -> str:
    with pytest.raises(McError) as refused:
        call(*arguments)  # type: ignore[operator]
    assert refused.value.reason == "DAMAGE", refused.value
    return refused.value.message


def changed(at: int, new: bytes, of: bytes = CHUNK.header) -> bytes:
    return of[:at] + new + of[at + len(new) :]


@pytest.mark.parametrize("size", [0, 11, 73, 75, 1025, 65535])
def test_a_header_of_another_length_than_it_says_is_refused(size: int) -> None:
    damaged(header.decode, changed(8, struct.pack(">H", size)))


@pytest.mark.parametrize(
    ("at", "new"),
    [
        (10, b"\0\0"),  # Level 0
        (60, struct.pack(">I", 0)),
        (60, struct.pack(">I", FRAME + 1)),
        (60, struct.pack(">I", 2048)),
        (60, struct.pack(">I", 1 << 31)),
        (64, b"\x02"),  # Codec
        (65, b"\x02"),  # Flag
        (65, b"\xff"),
        (66, struct.pack(">Q", 1)),  # A size, and no flag that it is known.
        (65, b"\x01" + struct.pack(">Q", (1 << 64) - 1)),
    ],
)
def test_absurd_fields_of_a_header_are_refused(at: int, new: bytes) -> None:
    damaged(header.decode, changed(at, new))


def test_a_future_level_is_relayed_and_checked_but_never_opened() -> None:
    future = HEAD.pack(MAGIC, 200, 7) + bytes(188)
    frames = [b"whatever that may be", b"x"]
    trailer = envelope.build_trailer([(len(f), envelope.leaf_of(f)) for f in frames], b"new things")
    chunk_id = envelope.id_of(future, trailer)
    arrival = Arrival(future, ROOM)
    for index, frame in enumerate(frames):
        arrival.frame(index, frame, envelope.leaf_of(frame))
    assert arrival.trailer(trailer, chunk_id).level == 7
    with pytest.raises(McError, match="format level 7, and this release reads up to 1") as refused:
        open_file(future + b"".join(frames) + trailer)
    assert refused.value.reason == "UNSUPPORTED"


@pytest.mark.parametrize("count", [0, 2, 4, 1025, (1 << 32) - 1])
def test_absurd_frame_counts_are_refused(count: int) -> None:
    trailer = changed(0, COUNT.pack(count), CHUNK.trailer)
    if count in (2, 4):  # As the envelope goes, these may be: it cannot know what `extra` is.
        assert open_refusal(trailer) == "DAMAGE"
    else:
        damaged(envelope.parse, CHUNK.header, trailer)


def open_refusal(trailer: bytes) -> str:
    with pytest.raises(McError) as refused:
        open_file(CHUNK.header + b"".join(CHUNK.frames) + trailer)
    return refused.value.reason


@pytest.mark.parametrize("size", [0, FRAME_SEALED_BYTES_MAX + 1, (1 << 32) - 1])
def test_absurd_frame_sizes_are_refused(size: int) -> None:
    trailer = changed(COUNT.size, struct.pack(">I", size), CHUNK.trailer)
    damaged(envelope.parse, CHUNK.header, trailer)


@pytest.mark.parametrize("size", [0, 15, TRAILER_BYTES_MAX + 1, (1 << 32) - 1])
def test_absurd_trailer_sizes_are_refused_by_the_last_bytes_alone(size: int) -> None:
    damaged(envelope.trailer_bytes_of, END.pack(size, END_MAGIC))


def test_the_largest_trailer_fits_a_control_message() -> None:
    largest = envelope.build_trailer([(1, bytes(32))] * 1024, bytes(1024))
    assert len(largest) == TRAILER_BYTES_MAX < 64 << 10
    assert envelope.trailer_bytes_of(largest[-END.size :]) == TRAILER_BYTES_MAX


def test_a_frame_that_claims_more_than_its_size_is_not_decompressed() -> None:
    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(64 << 20))
    tracemalloc.start()
    try:
        damaged(coder(Codec.ZSTD).decode, bomb, FRAME)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "coded",
    [
        b"",
        b"(\xb5/\xfd",
        zstandard.ZstdCompressor(write_content_size=False).compress(bytes(FRAME)),
        zstandard.ZstdCompressor().compress(bytes(FRAME))[:-1],
        zstandard.ZstdCompressor().compress(bytes(FRAME)) + b"\0",
        zstandard.ZstdCompressor().compress(bytes(FRAME - 1)),
        b"\x50\x2a\x4d\x18\x00\x00\x00\x00",  # A skippable frame
    ],
)
def test_a_frame_that_is_not_one_zstd_frame_of_its_size_is_refused(coded: bytes) -> None:
    damaged(coder(Codec.ZSTD).decode, coded, FRAME)


def test_sizes_that_no_encoding_has_are_refused_before_decoding() -> None:
    zstd, none = coder(Codec.ZSTD), coder(Codec.NONE)
    assert not zstd.fits(0, 0)
    assert not zstd.fits(1, RATIO_MAX + 1)
    assert not zstd.fits(coded_bytes_max(FRAME) + 1, FRAME)
    assert not none.fits(FRAME - 1, FRAME)
    for size in (0, 1, FRAME, 128 << 10, 1 << 20):
        assert zstd.fits(len(zstd.encode(bytes(size))), size)


def test_parts_that_arrive_wrong_are_refused_at_once() -> None:
    frame, leaf = CHUNK.frames[0], envelope.leaf_of(CHUNK.frames[0])
    damaged(Arrival(CHUNK.header, ROOM).frame, 1, frame, leaf)
    damaged(Arrival(CHUNK.header, ROOM).frame, 0, frame, leaf[:-1])
    damaged(Arrival(CHUNK.header, ROOM).frame, 0, frame, bytes(32))
    damaged(Arrival(CHUNK.header, ROOM).frame, 0, b"", envelope.leaf_of(b""))
    big = bytes(FRAME_SEALED_BYTES_MAX + 1)
    damaged(Arrival(CHUNK.header, ROOM).frame, 0, big, envelope.leaf_of(big))
    damaged(Arrival(CHUNK.header, ROOM).trailer, bytes(TRAILER_BYTES_MAX + 1), CHUNK.id)
    damaged(Arrival, b"", ROOM)


@pytest.mark.parametrize("came", [0, 1, 2])
def test_a_trailer_before_all_frames_is_refused(came: int) -> None:
    arrival = Arrival(CHUNK.header, ROOM)
    for index, frame in enumerate(CHUNK.frames[:came]):
        arrival.frame(index, frame, envelope.leaf_of(frame))
    assert "other frames" in damaged(arrival.trailer, CHUNK.trailer, CHUNK.id)


def test_an_arrival_with_another_id_is_refused() -> None:
    arrival = Arrival(CHUNK.header, ROOM)
    for index, frame in enumerate(CHUNK.frames):
        arrival.frame(index, frame, envelope.leaf_of(frame))
    damaged(arrival.trailer, CHUNK.trailer, bytes(32))
    assert arrival.trailer(CHUNK.trailer, CHUNK.id).file_bytes == len(CHUNK.file)


def test_a_sender_gets_the_room_that_it_asked_for_and_no_byte_more() -> None:
    for room, fits in ((len(CHUNK.file), True), (len(CHUNK.file) - 1, False)):
        arrival = Arrival(CHUNK.header, room)
        for index, frame in enumerate(CHUNK.frames):
            arrival.frame(index, frame, envelope.leaf_of(frame))
        if fits:
            assert arrival.trailer(CHUNK.trailer, CHUNK.id)
            continue
        with pytest.raises(McError) as refused:
            arrival.trailer(CHUNK.trailer, CHUNK.id)
        assert refused.value.reason == "TOO_LARGE"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_noise_is_refused_with_a_reason(noise: bytes) -> None:
    with pytest.raises(McError):
        open_file(noise)
    damaged(envelope.parse, CHUNK.header, noise)
    damaged(envelope.parse, noise, CHUNK.trailer)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_mutated_chunk_is_refused_with_a_reason(data: st.DataObject) -> None:
    """Spliced where the structure is: numbers of the header, the trailer's table, the ends."""
    file, places = CHUNK.file, len(CHUNK.trailer) + ENTRY.size
    head = data.draw(st.booleans())
    at = data.draw(st.integers(0, 80) if head else st.integers(len(file) - places, len(file)))
    cut = data.draw(st.integers(0, 8))
    new = data.draw(st.binary(max_size=8))
    mutated = file[:at] + new + file[at + cut :]
    if mutated != file:
        with pytest.raises(McError):
            open_file(mutated)
