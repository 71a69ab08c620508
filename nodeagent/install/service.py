"""systemd as the installer uses it: a small Protocol, and the real one behind `systemctl`."""

import subprocess
from typing import Protocol

from multicloud.errors import McError
from nodeagent.install.places import UNIT

CALL_TIMEOUT_S = 180.0  # Longer than the unit may take to stop and start.


class Service(Protocol):
    def active(self) -> bool: ...

    def start(self) -> None:
        """Enabled at boot, started or restarted, and READY when this returns."""

    def stop(self) -> None:
        """Stopped and disabled."""

    def reload_units(self) -> None: ...


class Systemd:
    """`systemctl start` of a unit of Type=notify returns once the daemon has said READY=1."""

    def active(self) -> bool:
        return self._call("is-active", "--quiet", UNIT).returncode == 0

    def start(self) -> None:
        self._must("enable", "--quiet", UNIT)
        self._must("restart", UNIT)

    def stop(self) -> None:
        self._must("disable", "--quiet", "--now", UNIT)

    def reload_units(self) -> None:
        self._must("daemon-reload")

    def _must(self, *words: str) -> None:
        done = self._call(*words)
        if done.returncode:
            raise McError(
                "FAILED",
                f"`systemctl {' '.join(words)}` failed: {' '.join(done.stderr.split())}",
                next=f"journalctl -u {UNIT} -n 20 says why",
            )

    def _call(self, *words: str) -> "subprocess.CompletedProcess[str]":
        try:
            return subprocess.run(
                ["systemctl", *words], capture_output=True, text=True, timeout=CALL_TIMEOUT_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise McError("FAILED", f"`systemctl {' '.join(words)}`: {error}") from error
