"""Whether a chunk is compressed, decided once from a sample; encoding and decoding, bounded."""

from enum import IntEnum
from typing import Protocol

import zstandard

from nodeagent.core.chunk.envelope import Bytes, damage

ZSTD_LEVEL = 1  # 0.29 GiB/s a core on text; level 3 takes half as long again for a tenth less.
SAMPLES, SAMPLE_BYTES = 3, 4096
PAYS_BELOW = 0.9
RATIO_MAX = 32768  # No zstd frame expands more: its smallest block of 4 bytes holds 128 KiB.


class Codec(IntEnum):
    NONE = 0
    ZSTD = 1


class Coder(Protocol):
    """The two ways of one codec."""

    def encode(self, plain: Bytes) -> Bytes: ...
    def decode(self, coded: Bytes, plain_bytes: int) -> Bytes: ...
    def fits(self, coded_bytes: int, plain_bytes: int) -> bool:
        """Whether an encoding of that size can hold that much, told before anything is decoded."""
        ...


def choose(plain: Bytes) -> Codec:
    """By three samples of what is there, at its start, middle and end; the first frame will do."""
    view = memoryview(plain).cast("B")
    if not view:
        return Codec.NONE
    sample = bytes(view) if len(view) <= SAMPLES * SAMPLE_BYTES else _samples(view)
    coded_bytes = len(zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(sample))
    return Codec.ZSTD if coded_bytes < PAYS_BELOW * len(sample) else Codec.NONE


def _samples(view: memoryview) -> bytes:
    """Apart from each other: where samples overlap, noise looks like a repetition."""
    rest = len(view) - SAMPLE_BYTES
    starts = (rest * part // (SAMPLES - 1) for part in range(SAMPLES))
    return b"".join(view[start : start + SAMPLE_BYTES] for start in starts)


def coder(codec: Codec) -> Coder:
    return _Zstd() if codec is Codec.ZSTD else _Plain()


class _Plain:
    def encode(self, plain: Bytes) -> Bytes:
        return plain

    def decode(self, coded: Bytes, plain_bytes: int) -> Bytes:
        assert len(coded) == plain_bytes, "the opener has compared the sizes"
        return coded

    def fits(self, coded_bytes: int, plain_bytes: int) -> bool:
        return coded_bytes == plain_bytes


class _Zstd:
    """One zstd frame, with its content size and without a dictionary."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
        self._decompressor = zstandard.ZstdDecompressor()

    def encode(self, plain: Bytes) -> Bytes:
        return self._compressor.compress(plain)

    def decode(self, coded: Bytes, plain_bytes: int) -> Bytes:
        """Exactly `plain_bytes`, compared first: zstandard allocates what a frame claims."""
        try:
            if zstandard.frame_content_size(coded) != plain_bytes:
                raise damage(f"a frame does not decompress to its {plain_bytes} bytes")
            plain = self._decompressor.decompress(
                coded, max_output_size=plain_bytes, allow_extra_data=False
            )
        except zstandard.ZstdError as error:
            raise damage(f"a frame does not decompress: {error}") from error
        if len(plain) != plain_bytes:
            raise damage(f"a frame decompresses to {len(plain)} bytes, not to its {plain_bytes}")
        return plain

    def fits(self, coded_bytes: int, plain_bytes: int) -> bool:
        return 0 < coded_bytes <= coded_bytes_max(plain_bytes) and (
            plain_bytes <= coded_bytes * RATIO_MAX
        )


def coded_bytes_max(plain_bytes: int) -> int:
    """The most that zstd makes of so much: its own bound."""
    small = max(0, (128 << 10) - plain_bytes) >> 11
    return plain_bytes + (plain_bytes >> 8) + small
