"""Who has the key can seal a trailer that lies; sizes that cannot be are refused all the same."""

from dataclasses import replace

import pytest

from multicloud.errors import McError
from nodeagent.core.chunk import envelope, header
from nodeagent.core.chunk import trailer as trailers
from nodeagent.core.chunk.arrival import Arrival
from nodeagent.core.chunk.codec import Codec, coded_bytes_max
from nodeagent.core.chunk.header import FRAME_BYTES
from nodeagent.core.chunk.keys import chunk_keys
from nodeagent.core.chunk.layout import FRAMES_MAX
from nodeagent.core.chunk.open import Opener
from nodeagent.core.chunk.seal import TAG_BYTES
from tests.support.chunks import FRAME, KEY, Chunk, seal

KNOWN = seal(bytes(FRAME + 9), known=True)
UNKNOWN = seal(bytes(FRAME + 9))
ZIPPED = seal(bytes(FRAME_BYTES), codec=Codec.ZSTD, frame_bytes=FRAME_BYTES)
Entries = list[tuple[int, bytes]]


def entries_of(chunk: Chunk) -> Entries:
    return [(entry.sealed_bytes, entry.leaf) for entry in chunk.envelope().entries]


def lie(chunk: Chunk, *, plain_bytes: int | None = None, entries: Entries | None = None) -> Opener:
    """An opener of the chunk under a trailer that its key holder wrote anew."""
    keys = chunk_keys(KEY, header.decode(chunk.header).salt, chunk.header)
    totals = trailers.decode(chunk.envelope(), keys)
    if plain_bytes is not None:
        totals = replace(totals, plain_bytes=plain_bytes)
    trailer = trailers.encode(entries or entries_of(chunk), totals, keys)
    return Opener(envelope.parse(chunk.header, trailer), KEY)


def test_a_trailer_that_says_the_truth_anew_is_the_same_one() -> None:
    for chunk in (KNOWN, UNKNOWN, ZIPPED):
        assert lie(chunk).envelope == chunk.envelope()


@pytest.mark.parametrize(
    ("chunk", "plain_bytes", "why"),
    [
        (KNOWN, FRAME + 8, "different sizes"),
        (UNKNOWN, FRAME + 8, "the size of frame 1 cannot be"),
        (UNKNOWN, FRAME, "2 frames are not those of its size"),
        (UNKNOWN, 0, "2 frames are not those of its size"),
        (UNKNOWN, (1 << 64) - 1, "2 frames are not those of its size"),
    ],
)
def test_a_plain_size_that_cannot_be_is_refused(chunk: Chunk, plain_bytes: int, why: str) -> None:
    with pytest.raises(McError, match=why) as refused:
        lie(chunk, plain_bytes=plain_bytes)
    assert refused.value.reason == "DAMAGE"


@pytest.mark.parametrize(
    "sealed_bytes", [1, TAG_BYTES, TAG_BYTES + 31, TAG_BYTES + coded_bytes_max(FRAME_BYTES) + 1]
)
def test_a_frame_that_cannot_hold_its_plain_bytes_is_refused(sealed_bytes: int) -> None:
    with pytest.raises(McError, match="the size of frame 0 cannot be"):
        lie(ZIPPED, entries=[(sealed_bytes, bytes(32))])


def test_a_compressed_frame_of_another_size_than_the_trailer_says_is_refused() -> None:
    with pytest.raises(McError, match="does not decompress to its"):
        lie(ZIPPED, plain_bytes=FRAME_BYTES - 1).open_frame(0, ZIPPED.frames[0])


def test_a_frame_that_opens_but_is_not_what_the_id_stands_for_is_refused() -> None:
    (size, _), last = entries_of(KNOWN)
    opener = lie(KNOWN, entries=[(size, bytes(32)), last])
    with pytest.raises(McError, match="the bytes of frame 0 are not those"):
        opener.open_frame(0, KNOWN.frames[0])


def test_frames_without_end_are_refused_where_the_bound_is() -> None:
    arrival, frame = Arrival(KNOWN.header, 1 << 30), b"x"
    for index in range(FRAMES_MAX):
        arrival.frame(index, frame, envelope.leaf_of(frame))
    with pytest.raises(McError, match=f"more than {FRAMES_MAX} frames"):
        arrival.frame(FRAMES_MAX, frame, envelope.leaf_of(frame))
    assert arrival.frames == FRAMES_MAX
