"""One process of a function of the operator's, seen by whoever started it and trusts it nothing."""

import mmap
import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from multicloud.errors import McError
from nodeagent.core.pipeline.model import Step
from nodeagent.process.callee import PROGRESS, PROGRESS_BYTES
from nodeagent.process.pipe import Gone, Kind, Pipe, said
from nodeagent.process.spawn import command, environment

LOAD_TIMEOUT_S = 60.0
LOOK_EVERY_S = 0.05
FRAME_PATIENCE_S = 5.0
FRAME_ROOM_BYTES = 1 << 20


class CalledProcess:
    def __init__(self, step: Step, path: Sequence[str], busy: Callable[[], None]) -> None:
        self._step, self._busy = step, busy
        self._bytes_max = step.options["output_bytes_max"] + FRAME_ROOM_BYTES
        ours, theirs = socket.socketpair()
        with theirs, tempfile.TemporaryFile() as progress:
            progress.truncate(PROGRESS_BYTES)
            self._progress = mmap.mmap(progress.fileno(), PROGRESS_BYTES)
            self._process = subprocess.Popen(
                [
                    *command("nodeagent.process.callee"),
                    str(theirs.fileno()), str(progress.fileno()), str(os.getpid()),
                ],
                cwd="/",
                pass_fds=(theirs.fileno(), progress.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment(),
                start_new_session=True,
            )  # fmt: skip
        # A frame that stops halfway is no reason to wait for ever.
        ours.settimeout(step.options["timeout_s"] + FRAME_PATIENCE_S)
        self._socket = ours
        self._pipe = Pipe(ours)
        self._load(path)

    def _load(self, path: Sequence[str]) -> None:
        options = self._step.options
        asked = {
            "call": options["call"],
            "path": list(path),
            "memory_bytes_max": options["memory_bytes_max"],
            "output_bytes_max": options["output_bytes_max"],
        }
        why = "its process ended while it was imported"
        try:
            self._pipe.send(Kind.LOAD, said(asked))
            if not self._waited(LOAD_TIMEOUT_S):
                why = f"it was not imported within {LOAD_TIMEOUT_S:g} s"
            else:
                frame = self._pipe.receive(FRAME_ROOM_BYTES)
                if frame.kind == Kind.LOADED:
                    return
                why = str(frame.json)
        except (Gone, ValueError):
            pass  # `why` says it.
        self.kill()
        call = options["call"]
        raise McError(
            "FAILED",
            f"{call} cannot be imported: {why}",
            next="install it beside the node, or name its folder in process.python_path",
        )

    def run(self, lines: Sequence[bytes], first: int, binary: list[str]) -> tuple[list[Any], str]:
        """Results in order, and why there are no more of them; empty when all are there."""
        got: list[Any] = []
        PROGRESS.pack_into(self._progress, 0, first)
        head = said({"first": first, "binary": binary})[:-1] + b',"records":['
        try:
            self._pipe.send(Kind.RECORDS, head + b",".join(lines) + b"]}")
            while len(got) < len(lines):
                why = self._next(got, len(lines))
                if why:
                    return got, why
        except (Gone, ValueError, RecursionError):
            return got, self._end()
        return got, ""

    def _next(self, got: list[Any], count: int) -> str:
        """Waits for results; why it gave up."""
        timeout_s = self._step.options["timeout_s"]
        begun_s, at = time.monotonic(), self.at
        while not self._waited(LOOK_EVERY_S):
            self._busy()
            if self._process.poll() is not None and not self._waited(0):
                return self._end()
            now_s = time.monotonic()
            if self.at != at:
                begun_s, at = now_s, self.at
            elif now_s - begun_s > timeout_s:
                return f"it had not ended after {timeout_s:g} s"
        frame = self._pipe.receive(self._bytes_max)
        more = frame.json
        if frame.kind != Kind.RESULTS or not isinstance(more, list):
            return "its process gave nonsense"
        if len(got) + len(more) > count:
            return "its process gave more results than records"
        got += more
        return ""

    @property
    def at(self) -> int:
        """The record at hand, as the process says."""
        return int(PROGRESS.unpack_from(self._progress)[0])

    def _waited(self, timeout_s: float) -> bool:
        ready, _, _ = select.select([self._socket], [], [], timeout_s)
        return bool(ready)

    def _end(self) -> str:
        """How it ended."""
        try:
            code = self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return "it broke the pipe of its process"
        return f"its process was ended by signal {-code}" if code < 0 else "it ended its process"

    def kill(self) -> None:
        """With whatever it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._socket.close()
        self._progress.close()
