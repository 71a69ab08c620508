"""Which way of writing a volume likes best, told by writing a few MiB both ways at the start."""

import os
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress

from nodeagent.store.local.files import Files
from nodeagent.store.local.layout import Paths
from nodeagent.store.local.sinks import (
    BUFFER_BYTES,
    O_DIRECT,
    Buffered,
    Buffers,
    Direct,
    Sink,
)

PROBE_BYTES = 2 * BUFFER_BYTES
ROUNDS = 2  # The better of them counts: the first pays for what is cold.
# Past the page cache costs less memory, and a processor time that is always the same: through it,
# pages that a hypervisor had taken back made a write cost several times as much. A trial of a few
# MiB does not show that, so only a disk that hates direct writes is written otherwise.
WORTH = 3.0


def prefers_direct(
    files: Files, paths: Paths, buffers: Buffers, sending: Executor, now_s: Callable[[], float]
) -> bool:
    """False also where it cannot be done or the volume has no room for a try."""
    if not O_DIRECT or (taken := buffers.take()) is None:
        return False
    piece = os.urandom(1 << 20)  # Noise: some file systems compress.
    try:
        took_s = []
        for direct in (True, False):
            rounds = (
                _seconds(files, paths, piece, taken if direct else None, sending, now_s)
                for _ in range(ROUNDS)
            )
            took_s.append(min(rounds))
        return took_s[0] <= took_s[1] * WORTH
    except OSError:
        return False  # EINVAL says no; any other fault shows at the first put, with its reason.
    finally:
        buffers.give_back(taken)


def _seconds(
    files: Files,
    paths: Paths,
    piece: bytes,
    buffers: list[memoryview] | None,
    sending: Executor,
    now_s: Callable[[], float],
) -> float:
    path = paths.draft("probe")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | (O_DIRECT if buffers is not None else 0)
    fd = -1
    try:
        fd = files.open(path, flags)
        started_s = now_s()
        sink: Sink = Buffered(files, fd)
        if buffers is not None:
            sink = Direct(files, fd, buffers, sending)
        try:
            for _ in range(PROBE_BYTES // len(piece)):
                sink.write(piece)
            sink.finish()
        finally:
            sink.drop()
        files.datasync(fd)
        return now_s() - started_s
    finally:
        if fd >= 0:
            files.close(fd)
        with suppress(FileNotFoundError):
            files.unlink(path)
