"""Raises glibc's malloc thresholds: the first act of the daemon, before anything large is imported.

Buffers of data come and go all the time. By default glibc maps each large one afresh and gives it
back at once, and the kernel clears every page again; kept in the heap they are reused.
"""

import ctypes

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8

MMAP_THRESHOLD_BYTES = 256 << 20
MMAP_THRESHOLD_BYTES_OLD = 32 << 20  # glibc before 2.35 takes no more.
TRIM_THRESHOLD_BYTES = 512 << 20
TOP_PAD_BYTES = 64 << 20
# Buffers are made in one thread and freed in another: with an arena for each thread every one of
# them keeps its own. With one the same work holds a third less, and costs no more processor time.
ARENAS = 1


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
