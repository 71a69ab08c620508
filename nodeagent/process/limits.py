"""What a worker process takes from itself at its start, and never gets back."""

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Linux tells the kernel; elsewhere the end of the pipe is what is noticed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(0)  # It had ended before.


def bound_memory(bytes_max: int) -> None:
    """So much more address space than is in use now."""
    try:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return  # No Linux: it has no such account, and macOS ignores the limit.
    limit = used + bytes_max
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def no_core() -> None:
    """Records are nobody's business."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def no_files() -> None:
    """No byte into any file; few open ones."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # An error of the call, not the end.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 256 if hard == resource.RLIM_INFINITY else min(256, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
