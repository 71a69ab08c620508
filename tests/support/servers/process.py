"""A server as a process: started, waited for until it answers, gone when its test process is."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support.lacking import NOT_RUN

WITHIN_S = 60.0
_PR_SET_PDEATHSIG = 1


def _dies_with_us() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def not_run(server: str, remedy: str) -> NoReturn:
    """The end of the run lists it, with the remedy."""
    pytest.skip(f"{NOT_RUN}{server} is not installed: {remedy}")


@contextmanager
def serving(
    command: Sequence[str | Path],
    port: int,
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """Until the block ends; it answers on `port` of 127.0.0.1 when the block begins."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,
            preexec_fn=_dies_with_us,
        )
    try:
        _wait(process, port, log)
        yield port
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end_s = time.monotonic() + WITHIN_S
    while time.monotonic() < end_s:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
            return
        except OSError:
            time.sleep(0.05)
    said = log.read_text(errors="replace")[-2000:]
    raise AssertionError(f"{process.args} does not serve on port {port}: {said}")
