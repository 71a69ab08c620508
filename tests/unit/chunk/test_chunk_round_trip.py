"""What was sealed is what is opened: of every size, however it was cut, whole or in part."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multicloud.errors import McError
from nodeagent.core.chunk.codec import Codec
from nodeagent.core.chunk.header import FRAME_BYTES
from nodeagent.core.chunk.open import Opener
from nodeagent.core.chunk.seal import Sealer
from tests.support.chunks import FRAME, KEY, SALT, open_file, open_whole, seal

EDGES = [0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME, 3 * FRAME + 7]
codecs = st.sampled_from(Codec)


def data_of(size: int, seed: int) -> bytes:
    """Neither noise nor one letter, and another for each seed."""
    word = seed.to_bytes(4, "big") + b"chunk"
    return (word * (size // len(word) + 1))[:size]


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("size", EDGES)
def test_every_edge_of_a_frame_comes_back(size: int, codec: Codec) -> None:
    plain = os.urandom(size // 2) + bytes(size - size // 2)
    chunk = seal(plain, codec=codec, known=True)
    assert open_file(chunk.file) == plain
    assert len(chunk.frames) == max(1, -(-size // FRAME))


@settings(max_examples=60, deadline=None)
@given(st.data(), codecs, st.booleans(), st.one_of(st.none(), st.integers(0, 2**64 - 2)))
def test_any_size_in_any_pieces_comes_back(
    data: st.DataObject, codec: Codec, known: bool, records: int | None
) -> None:
    size = data.draw(st.one_of(st.sampled_from(EDGES), st.integers(0, 5 * FRAME)))
    plain = data_of(size, data.draw(st.integers(0, 2**32 - 1)))
    cuts = data.draw(st.lists(st.integers(0, size), max_size=6))
    chunk = seal(plain, codec=codec, known=known, records=records, cuts=cuts)
    assert open_file(chunk.file) == plain
    assert Opener(chunk.envelope(), KEY).totals.records == records
    assert chunk == seal(plain, codec=codec, known=known, records=records)  # Cuts leave no trace.


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 4 * FRAME), st.integers(0, 5 * FRAME), st.integers(0, 3 * FRAME), codecs)
def test_a_range_needs_only_the_frames_that_hold_it(
    size: int, offset: int, length: int, codec: Codec
) -> None:
    plain = data_of(size, size)
    chunk = seal(plain, codec=codec)
    opener = Opener(chunk.envelope(), KEY)
    touched = opener.frames_of(offset, length)
    read = b"".join(bytes(opener.open_frame(i, chunk.frames[i])) for i in touched)
    start = offset - touched.start * FRAME if touched else 0
    assert read[start : start + length] == plain[offset : offset + length]
    assert len(touched) <= length // FRAME + 2


def test_a_range_is_read_while_another_frame_is_damaged() -> None:
    plain = data_of(3 * FRAME, 1)
    chunk = seal(plain)
    opener = Opener(chunk.envelope(), KEY)
    assert bytes(opener.open_frame(1, chunk.frames[1])) == plain[FRAME : 2 * FRAME]
    with pytest.raises(McError, match="frame 2"):
        opener.open_frame(2, bytes(len(chunk.frames[2])))


@pytest.mark.parametrize("codec", Codec)
def test_frames_of_one_mebibyte_are_what_writers_make(codec: Codec) -> None:
    plain = os.urandom(FRAME_BYTES // 2) + bytes(2 * FRAME_BYTES)
    chunk = seal(plain, codec=codec, frame_bytes=FRAME_BYTES)
    assert len(chunk.frames) == 3
    assert open_file(chunk.file) == plain


def test_noise_in_a_compressed_chunk_still_fits() -> None:
    plain = os.urandom(FRAME_BYTES + 1)
    chunk = seal(plain, codec=Codec.ZSTD, frame_bytes=FRAME_BYTES)
    assert open_file(chunk.file) == plain


def test_each_salt_makes_another_chunk_of_which_nothing_is_alike() -> None:
    one, other = seal(bytes(FRAME)), seal(bytes(FRAME), salt=bytes(32))
    assert one.id != other.id
    assert one.frames[0][:16] != other.frames[0][:16]
    assert one.plain_hash == other.plain_hash  # Which is why it is in the chunk only keyed.
    for chunk in (one, other):
        assert chunk.plain_hash not in chunk.file


def test_a_size_that_turns_out_different_is_refused() -> None:
    sealer = Sealer(KEY, salt=SALT, codec=Codec.NONE, plain_bytes=2)
    assert list(sealer.add(b"abc")) == []
    with pytest.raises(McError, match="2 bytes were to be sealed and 3 came"):
        sealer.finish()


def test_more_than_the_frames_hold_is_refused_before_it_is_sealed() -> None:
    with pytest.raises(McError) as known:
        Sealer(KEY, salt=SALT, codec=Codec.NONE, plain_bytes=1024 * FRAME + 1, frame_bytes=FRAME)
    sealer = Sealer(KEY, salt=SALT, codec=Codec.NONE, frame_bytes=FRAME)
    with pytest.raises(McError) as streamed:
        sealer.add(bytes(1024 * FRAME + 1))
    assert (known.value.reason, streamed.value.reason) == ("TOO_LARGE", "TOO_LARGE")


def test_a_chunk_of_the_most_frames_comes_back() -> None:
    plain = data_of(1024 * FRAME, 2)
    chunk = seal(plain)
    assert len(chunk.frames) == 1024
    assert open_whole(chunk.envelope(), chunk.frames) == plain


def test_frames_that_were_not_taken_are_noticed() -> None:
    sealer = Sealer(KEY, salt=SALT, codec=Codec.NONE, frame_bytes=FRAME)
    next(sealer.add(bytes(3 * FRAME)))
    with pytest.raises(AssertionError, match="not all taken"):
        sealer.finish()
