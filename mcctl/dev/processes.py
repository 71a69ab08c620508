"""Processes known by pid and start time: a reused pid is never taken for the process before."""

import contextlib
import os
import signal
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Known:
    pid: int
    started: str  # As the operating system tells it; only ever compared.

    @staticmethod
    def of(pid: int) -> "Known":
        return Known(pid, _started(pid) or "")

    @staticmethod
    def read(fields: dict[str, Any]) -> "Known":
        return Known(int(fields["pid"]), str(fields["started"]))

    def fields(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def alive(self) -> bool:
        return self.started != "" and _started(self.pid) == self.started

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Signals this process, or nobody."""
        if hasattr(os, "pidfd_open") and hasattr(signal, "pidfd_send_signal"):
            with contextlib.suppress(ProcessLookupError):
                handle = os.pidfd_open(self.pid)
                try:
                    # Looked at with the handle open: from here on the pid cannot be reused.
                    if self.alive:
                        signal.pidfd_send_signal(handle, number)
                finally:
                    os.close(handle)
        elif self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _started(pid: int) -> str | None:
    """When a process began; None when there is none, or only its remains."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The name in parentheses may hold anything, also parentheses.
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else fields[19]
    done = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, started = done.stdout.strip().partition(" ")
    return started.strip() if started and not state.startswith("Z") else None
