"""When a chunk is read again, and how fast: the young soon, and every byte within the window."""

from collections.abc import Iterable
from heapq import nsmallest
from typing import Protocol, TypeVar

HOUR_S = 3600.0
# What goes wrong goes wrong early: a chunk is read again at these ages, then once a window.
YOUNG_S = (HOUR_S, 6 * HOUR_S, 24 * HOUR_S)
# A chunk's turn is somewhere in this part of the window, by its id: what was stored at once is
# not due at once, and a node that was down for a while still keeps the window.
TURN_FIRST, TURN_LAST = 0.5, 0.8
LATE = 0.9  # From this part of the window on a check does not give way to traffic.
_CHANCE_BYTES = 4


class Kept(Protocol):
    """A chunk as its volume knows it."""

    @property
    def chunk_id(self) -> bytes: ...
    @property
    def file_bytes(self) -> int: ...
    @property
    def stored_unix_s(self) -> float: ...
    @property
    def verified_unix_s(self) -> float: ...


K = TypeVar("K", bound=Kept)


def due_unix_s(kept: Kept, within_s: float) -> float:
    """When every byte of it is to be read again."""
    if kept.verified_unix_s < kept.stored_unix_s:
        return kept.verified_unix_s  # Nobody knows of any check.
    chance = int.from_bytes(kept.chunk_id[:_CHANCE_BYTES]) / (1 << (8 * _CHANCE_BYTES))
    turn_s = within_s * (TURN_FIRST + (TURN_LAST - TURN_FIRST) * chance)
    old = kept.verified_unix_s + turn_s
    age_s = kept.verified_unix_s - kept.stored_unix_s
    young_s = next((young_s for young_s in YOUNG_S if young_s > age_s), None)
    return old if young_s is None else min(old, kept.stored_unix_s + young_s)


def due(kept: Iterable[K], now_unix_s: float, within_s: float, count: int) -> list[K]:
    """Those whose turn has come, the most overdue first, at most `count`."""
    ready = (one for one in kept if due_unix_s(one, within_s) <= now_unix_s)
    return nsmallest(count, ready, key=lambda one: due_unix_s(one, within_s))


def is_late(kept: Kept, now_unix_s: float, within_s: float) -> bool:
    return now_unix_s - kept.verified_unix_s >= LATE * within_s


def pace_bytes_per_s(bytes_used: int, within_s: float, limit_bytes_per_s: float) -> float:
    """The limit, or what the window asks for where that is more: a promise goes before a limit."""
    return max(limit_bytes_per_s, bytes_used / (within_s * TURN_FIRST))
