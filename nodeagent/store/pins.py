"""The pins of one volume: who keeps which chunk, and until when. A table, and its lines on disk.

Every line has a checksum; one that does not fit is of a write that was never answered.
"""

import json
import zlib
from collections.abc import Iterable, Iterator

from nodeagent.store.contract import Pin


def longer(one: Pin | None, other: Pin) -> Pin:
    """Of two pins of one holder, the one that lasts; a pin without an end lasts for ever."""
    if one is None or not other.until_unix_s:
        return other
    return one if not one.until_unix_s or one.until_unix_s > other.until_unix_s else other


class Pins:
    def __init__(self) -> None:
        self._of_chunk: dict[bytes, dict[str, Pin]] = {}
        self._of_holder: dict[str, set[bytes]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._of_chunk.values()))

    def add(self, chunk_id: bytes, pin: Pin) -> None:
        pins = self._of_chunk.setdefault(chunk_id, {})
        pins[pin.holder] = longer(pins.get(pin.holder), pin)
        self._of_holder.setdefault(pin.holder, set()).add(chunk_id)

    def count(self, holder: str) -> int:
        return len(self._of_holder.get(holder, ()))

    def end(self, holder: str) -> int:
        chunks = self._of_holder.pop(holder, set())
        for chunk_id in chunks:
            self._drop(chunk_id, holder)
        return len(chunks)

    def of(self, chunk_id: bytes, now_unix_s: float) -> list[Pin]:
        """Those that hold now."""
        return [
            pin
            for pin in list(self._of_chunk.get(chunk_id, {}).values())
            if not pin.until_unix_s or pin.until_unix_s > now_unix_s
        ]

    def forget_over(self, now_unix_s: float) -> None:
        """Drops those that have ended by their time."""
        over = [
            (chunk_id, pin.holder)
            for chunk_id, pins in self._of_chunk.items()
            for pin in pins.values()
            if pin.until_unix_s and pin.until_unix_s <= now_unix_s
        ]
        for chunk_id, holder in over:
            self._drop(chunk_id, holder)
            chunks = self._of_holder[holder]
            chunks.discard(chunk_id)
            if not chunks:
                del self._of_holder[holder]

    def every(self) -> Iterator[tuple[bytes, Pin]]:
        return ((chunk, pin) for chunk, pins in self._of_chunk.items() for pin in pins.values())

    def lines(self) -> Iterator[bytes]:
        """All of them, as few lines as there can be."""
        return (pin_line(chunk_id, pin) for chunk_id, pin in self.every())

    def _drop(self, chunk_id: bytes, holder: str) -> None:
        pins = self._of_chunk.get(chunk_id, {})
        pins.pop(holder, None)
        if not pins:
            self._of_chunk.pop(chunk_id, None)


def pin_line(chunk_id: bytes, pin: Pin) -> bytes:
    return _line([chunk_id.hex(), pin.holder, pin.until_unix_s])


def end_line(holder: str) -> bytes:
    return _line([holder])


def _line(fields: list[str | float]) -> bytes:
    body = json.dumps(fields, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def replay(lines: Iterable[bytes]) -> tuple[Pins, int]:
    """The table that these lines make, and how many of them do not fit their checksum."""
    pins, torn = Pins(), 0
    for line in lines:
        if not line:
            continue
        try:
            said, body = int(line[:8], 16), line[9:]
            if line[8:9] != b" " or zlib.crc32(body) != said:
                torn += 1
                continue
            fields = json.loads(body)
        except ValueError:
            torn += 1
            continue
        if len(fields) == 1:
            pins.end(fields[0])
        else:
            pins.add(bytes.fromhex(fields[0]), Pin(fields[1], fields[2]))
    return pins, torn
