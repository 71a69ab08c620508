"""Compressed objects as streams of plain pieces: gzip and zstd, of one or several members."""

import zlib
from collections.abc import Iterable, Iterator
from typing import IO, cast

import zstandard

from nodeagent.core.pipeline.frame_walk import FrameWalk
from nodeagent.core.pipeline.source import READ_BYTES, broken

GZIP_WINDOW = 16 + zlib.MAX_WBITS
WINDOW_BYTES_MAX = 1 << 27  # What `zstd` itself accepts unasked.
GZIP_LEVEL, ZSTD_LEVEL = 6, 3


def plain_pieces(compression: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """None longer than `READ_BYTES`, whatever the ratio."""
    match compression:
        case "none":
            yield from pieces
        case "gzip":
            yield from _gunzip(pieces)
        case _:
            yield from _unzstd(pieces)


def _gunzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    inflater = zlib.decompressobj(GZIP_WINDOW)
    begun = False
    try:
        for piece in pieces:
            while piece:
                if not begun:
                    piece = piece.lstrip(b"\0")  # Padding between members, as gzip allows.
                    begun = bool(piece)
                    continue
                plain = inflater.decompress(piece, READ_BYTES)
                piece = inflater.unconsumed_tail
                if plain:
                    yield plain
                if inflater.eof:
                    piece = inflater.unused_data
                    inflater, begun = zlib.decompressobj(GZIP_WINDOW), False
            while begun and (plain := inflater.decompress(b"", READ_BYTES)):
                yield plain
    except zlib.error as error:
        raise broken(f"it does not decompress as gzip: {error}") from error
    if begun:
        raise broken("it ends in the middle of its gzip data")


def _unzstd(pieces: Iterable[bytes]) -> Iterator[bytes]:
    walk = FrameWalk()
    reader = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX).stream_reader(
        cast("IO[bytes]", _Reading(walk.watched(pieces))), read_across_frames=True
    )
    try:
        while plain := reader.read(READ_BYTES):
            yield plain
    except zstandard.ZstdError as error:
        raise broken(f"it does not decompress as zstd: {error}") from error
    if not walk.whole:
        raise broken("it ends in the middle of its zstd data")


class _Reading:
    """Pieces as the `read` that zstandard asks for."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = b""

    def read(self, size: int) -> bytes:
        if not self._rest:
            self._rest = next(self._pieces, b"")
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken
