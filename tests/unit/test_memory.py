"""glibc keeps large buffers for the next one; without the thresholds it gives each one back."""

import asyncio
import platform
import subprocess
import sys

import pytest

from nodeagent.memory import HELD_BYTES_MAX, keep_bounded

MIB = 1 << 20
BUFFER_MIB = 64  # Larger than what glibc keeps by itself.
CODE = f"""
import sys
from nodeagent.memory import raise_malloc_thresholds
def rss_mib():
    row = next(r for r in open("/proc/self/status") if r.startswith("VmRSS"))
    return int(row.split()[1]) >> 10
if sys.argv[1] == "raised":
    assert raise_malloc_thresholds()
before = rss_mib()
buffer = bytearray(b"x" * {BUFFER_MIB * MIB})
del buffer
print(rss_mib() - before)
"""
HOLES = f"""
import sys
from nodeagent.memory import give_back, held_bytes, raise_malloc_thresholds
assert raise_malloc_thresholds()
before = held_bytes()
pieces = [bytearray(b"x" * {MIB}) for _ in range({2 * BUFFER_MIB})]
kept = pieces[1::2]
del pieces
if sys.argv[1] == "given back":
    give_back()
print((held_bytes() - before) >> 20)
"""


def held_mib(code: str, how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", code, how], capture_output=True, text=True, timeout=30, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not run: the C library is another")
def test_a_freed_buffer_stays_with_the_process_only_when_the_thresholds_are_raised() -> None:
    assert held_mib(CODE, "raised") >= BUFFER_MIB
    assert held_mib(CODE, "as they were") < BUFFER_MIB / 4


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not run: the C library is another")
def test_holes_between_what_is_in_use_go_back_to_the_kernel_when_they_are_given_back() -> None:
    assert held_mib(HOLES, "as they were") >= 2 * BUFFER_MIB
    assert held_mib(HOLES, "given back") < 1.25 * BUFFER_MIB


async def test_memory_is_given_back_while_much_is_held_and_kept_for_reuse_while_little_is() -> None:
    held = iter([HELD_BYTES_MAX - 1, HELD_BYTES_MAX, HELD_BYTES_MAX - 1])
    seen: list[int] = []
    given: list[int] = []
    looked = asyncio.Event()

    def look() -> int:
        found = next(held, None)
        if found is None:
            looked.set()
            return 0
        seen.append(found)
        return found

    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(keep_bounded(look, lambda: given.append(len(seen)), every_s=0))
        await looked.wait()
        keeping.cancel()
    assert given == [2]
