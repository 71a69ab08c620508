"""Raises glibc's malloc thresholds: the first act of the daemon, before anything large is imported.

Buffers of data come and go all the time. By default glibc maps each large one afresh and gives it
back at once, and the kernel clears every page again; kept in the heap they are reused. What is kept
has a bound, too: holes that one kind of work leaves are no use to the next, and would add up.
"""

import asyncio
import ctypes
import os
from collections.abc import Callable
from pathlib import Path

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8

MMAP_THRESHOLD_BYTES = 256 << 20
MMAP_THRESHOLD_BYTES_OLD = 32 << 20  # glibc before 2.35 takes no more.
TRIM_THRESHOLD_BYTES = 512 << 20
TOP_PAD_BYTES = 64 << 20
# Buffers are made in one thread and freed in another: with an arena for each thread every one of
# them keeps its own. With one the same work holds a third less, and costs no more processor time.
ARENAS = 1
# Above this free memory is given back at each look. Half a second of pages made anew costs a few
# percent of the time that moving their bytes takes.
HELD_BYTES_MAX, LOOK_S = 144 << 20, 0.5


def raise_malloc_thresholds() -> bool:
    """True when they are set; False, and no harm, where the C library is another one."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    mapped = mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES) or mallopt(
        _M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES_OLD
    )
    trimmed = mallopt(_M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES)
    shared = mallopt(_M_ARENA_MAX, ARENAS)
    return bool(mapped and trimmed and shared and mallopt(_M_TOP_PAD, TOP_PAD_BYTES))


def held_bytes() -> int:
    """Memory of this process, as the kernel counts it; 0 where it cannot be told, as without a
    descriptor to ask with.
    """
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def give_back() -> None:
    """What is free in the heap, holes too, goes back to the kernel; nothing where glibc is not."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return


async def keep_bounded(
    held: Callable[[], int] = held_bytes,
    give: Callable[[], None] = give_back,
    every_s: float = LOOK_S,
) -> None:
    """For ever: what is free goes back while much is held. Little, and it stays for reuse."""
    while True:
        await asyncio.sleep(every_s)
        if held() >= HELD_BYTES_MAX:
            await asyncio.to_thread(give)
