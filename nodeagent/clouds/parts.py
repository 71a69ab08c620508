"""Cuts what is put into parts of one size, and counts it: no driver holds more than it sends."""

from collections.abc import AsyncIterator

from nodeagent.clouds import refusals
from nodeagent.clouds.contract import Place


async def parts_of(
    place: Place, key: str, given: AsyncIterator[bytes], size_bytes: int, part_bytes: int
) -> AsyncIterator[bytes]:
    """Each of `part_bytes`, the last of the rest; one empty part of nothing.

    The last is given only when all was counted, so nothing of a wrong size is ever completed.
    """
    gathered = bytearray()
    came = 0
    async for data in given:
        came += len(data)
        if came > size_bytes:
            raise refusals.not_as_announced(place, key, size_bytes, came)
        gathered += data
        while len(gathered) >= part_bytes and came - (len(gathered) - part_bytes) < size_bytes:
            part = bytes(memoryview(gathered)[:part_bytes])
            del gathered[:part_bytes]
            yield part
    if came != size_bytes:
        raise refusals.not_as_announced(place, key, size_bytes, came)
    yield bytes(gathered)


def ranges(first: int, count: int, part_bytes: int) -> list[tuple[int, int]]:
    """(first, count) of each piece of a range."""
    end = first + count
    return [(at, min(part_bytes, end - at)) for at in range(first, end, part_bytes)]
