"""glibc keeps large buffers for the next one; without the thresholds it gives each one back."""

import platform
import subprocess
import sys

import pytest

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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not run: the C library is another")
def test_a_freed_buffer_stays_with_the_process_only_when_the_thresholds_are_raised() -> None:
    def kept_mib(how: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", CODE, how],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        return int(done.stdout)

    assert kept_mib("raised") >= BUFFER_MIB
    assert kept_mib("as they were") < BUFFER_MIB / 4
