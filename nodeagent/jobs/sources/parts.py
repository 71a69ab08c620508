"""Large reads in parts, a few of them on their way at once, and what goes wrong on the way."""

import asyncio
from collections.abc import Awaitable, Callable

from multicloud.errors import REASONS, McError
from nodeagent.jobs.contract import CHANGED, GONE, LINK, NAME, SPECIAL, UNREADABLE, SkippedObject

PART_BYTES = 4 << 20  # What one node asks another, or a laptop, for at once.
PARTS_AT_ONCE = 4
PIECE_BYTES = 1 << 20  # Of one message, and what a worker reads at once.

SKIPPED = frozenset({CHANGED, GONE, LINK, NAME, SPECIAL, UNREADABLE})
# Whoever would have read it is gone, not what was to be read.
OUT_OF_REACH = frozenset(
    {"UNREACHABLE", "DRAINING", "DEADLINE", "STALLED", "CANCELLED", "REMOVED", "NODE_UNKNOWN"}
)


async def in_parts(
    read: Callable[[int, int], Awaitable[bytes]], offset_bytes: int, size_bytes: int
) -> bytes:
    """What `read(offset, size)` gives for each part, in order; the first that fails ends all."""
    if size_bytes <= PART_BYTES:
        return await read(offset_bytes, size_bytes)
    room = asyncio.Semaphore(PARTS_AT_ONCE)
    end = offset_bytes + size_bytes

    async def part(at: int) -> bytes:
        async with room:
            return await read(at, min(PART_BYTES, end - at))

    try:
        async with asyncio.TaskGroup() as group:
            parts = [group.create_task(part(at)) for at in range(offset_bytes, end, PART_BYTES)]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    return b"".join(task.result() for task in parts)


def told(path: bytes, reason: str, message: str) -> Exception:
    """What another machine says went wrong: with an object, or with all of it."""
    if reason in SKIPPED:
        return SkippedObject(path, reason, message)
    return McError(reason if reason in REASONS else "FAILED", message or f"{path!r}: {reason}")
