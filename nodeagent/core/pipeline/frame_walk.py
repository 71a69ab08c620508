"""Whether zstd data ends where a frame ends: zstandard's reader takes a cut frame for a whole one.

Only the outer structure is followed (RFC 8878, 3.1): headers of frames and blocks, skippable ones.
"""

from collections.abc import Generator, Iterable, Iterator

MAGIC = b"\x28\xb5\x2f\xfd"
SKIPPABLE = b"\x2a\x4d\x18"  # After a byte from 50 to 5f.
_DICTIONARY_BYTES = (0, 1, 2, 4)
_CONTENT_BYTES = (0, 2, 4, 8)
_RLE = 1


class FrameWalk:
    """Sees all bytes in order, in pieces of any size."""

    def __init__(self) -> None:
        self._steps = self._frames()
        self._wanted = next(self._steps)
        self._held = b""
        self._between = True

    @property
    def whole(self) -> bool:
        return self._between and not self._held

    def watched(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._see(piece)
            yield piece

    def _see(self, piece: bytes) -> None:
        at = 0
        while at < len(piece):
            if self._wanted < 0:  # To be passed over.
                passed = min(-self._wanted, len(piece) - at)
                at += passed
                self._wanted += passed
                if self._wanted == 0:
                    self._wanted = next(self._steps)
                continue
            taken = piece[at : at + self._wanted - len(self._held)]
            at += len(taken)
            self._held += taken
            if len(self._held) == self._wanted:
                held, self._held = self._held, b""
                self._wanted = self._steps.send(held)

    def _frames(self) -> Generator[int, bytes, None]:
        """Yields how many bytes it wants to see, or, negative, how many may be passed over."""
        while True:
            self._between = True
            magic = yield 4
            self._between = False  # Until that frame has ended.
            if magic != MAGIC:  # A skippable frame; anything else the reader has refused.
                size = int.from_bytes((yield 4), "little")
                if size:
                    yield -size
                continue
            descriptor = (yield 1)[0]
            single, checksum = descriptor >> 5 & 1, descriptor >> 2 & 1
            content = _CONTENT_BYTES[descriptor >> 6] or single
            header = (not single) + _DICTIONARY_BYTES[descriptor & 3] + content
            if header:
                yield -header
            last = False
            while not last:
                block = int.from_bytes((yield 3), "little")
                last = bool(block & 1)
                size = 1 if block >> 1 & 3 == _RLE else block >> 3
                if size:
                    yield -size
            if checksum:
                yield -4
