"""Three samples tell text from noise, and cost next to nothing beside what they save."""

import os

import pytest

from nodeagent.core.chunk.codec import Codec, choose

TEXT = b"".join(b'{"id": %d, "text": "words of a corpus"}\n' % number for number in range(40_000))
MIB = 1 << 20


@pytest.mark.parametrize("size", [200, 5000, 12_288, MIB])
def test_text_is_compressed(size: int) -> None:
    assert choose(TEXT[:size]) is Codec.ZSTD


@pytest.mark.parametrize("size", [0, 1, 64, 5000, 12_288, MIB])
def test_noise_is_not(size: int) -> None:
    assert choose(os.urandom(size)) is Codec.NONE


def test_a_short_head_of_text_before_noise_does_not_mislead() -> None:
    noise = os.urandom(MIB)
    assert choose(TEXT[:1024] + noise) is Codec.NONE


def test_noise_at_the_start_of_text_does_not_mislead() -> None:
    assert choose(os.urandom(4096) + TEXT[:MIB]) is Codec.ZSTD


def test_any_buffer_will_do() -> None:
    assert choose(memoryview(bytearray(TEXT[:MIB]))) is Codec.ZSTD
