"""What is moved: noise, which nothing makes smaller, and text about as compressible as a corpus."""

import os
from pathlib import Path

MIB = 1 << 20
PIECE_BYTES = 16 * MIB
WORDS = b"bucket node frame safe copy trace region price chunk relay fsync steward".split()


def noise(size_bytes: int) -> bytes:
    return os.urandom(size_bytes)


def text(size_bytes: int) -> bytes:
    """Lines of JSON whose words come by chance."""
    chance = os.urandom(1 << 20)
    lines = (
        b'{"id": %d, "text": "%s"}\n'
        % (at, b" ".join(WORDS[byte % len(WORDS)] + b"%d" % byte for byte in chance[at : at + 12]))
        for at in range(0, len(chance), 12)
    )
    made = b"".join(lines)
    return (made * (size_bytes // len(made) + 1))[:size_bytes]


def noise_file(path: Path, size_bytes: int) -> Path:
    with path.open("wb") as file:
        for start in range(0, size_bytes, PIECE_BYTES):
            file.write(noise(min(PIECE_BYTES, size_bytes - start)))
    return path


def text_file(path: Path, size_bytes: int) -> Path:
    path.write_bytes(text(size_bytes))
    return path
