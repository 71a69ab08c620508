"""Tells systemd how the daemon is: sd_notify over its datagram socket, without a native library.

Without NOTIFY_SOCKET every call does nothing and says so by returning False.
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass

# systemd reads its socket at once; a full one must not hold up the event loop.
SEND_TIMEOUT_S = 0.2


@dataclass(frozen=True, slots=True)
class Notifier:
    """Each call is one datagram; True when systemd has it."""

    address: str = ""  # Of the socket; '@' at its start means the abstract namespace.
    watchdog_interval_s: float | None = None  # Feed it this often; None: there is no watchdog.

    @classmethod
    def of(cls, env: Mapping[str, str], pid: int) -> "Notifier":
        return cls(env.get("NOTIFY_SOCKET", ""), watchdog_interval_s(env, pid))

    def ready(self, status: str = "") -> bool:
        """It listens. Also the end of a reload."""
        return self._send("READY=1", *_status(status))

    def reloading(self, monotonic_us: int) -> bool:
        """`time.monotonic_ns() // 1000`: systemd tells by it which READY=1 ends this reload."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={monotonic_us}")

    def stopping(self, status: str = "") -> bool:
        return self._send("STOPPING=1", *_status(status))

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        return self._send(*_status(text))

    def watchdog(self) -> bool:
        """Only while both event loops answer."""
        return self._send("WATCHDOG=1")

    def extend_timeout(self, by_s: float) -> bool:
        """The start or stop that is under way may take so much longer from now on."""
        return self._send(f"EXTEND_TIMEOUT_USEC={round(by_s * 1e6)}")

    def _send(self, *fields: str) -> bool:
        if not self.address or not fields:
            return False
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.settimeout(SEND_TIMEOUT_S)
            try:
                out.sendto("\n".join(fields).encode(), address)
            except OSError:
                return False  # Nobody listens (any more); the daemon's work does not depend on it.
        return True


def watchdog_interval_s(env: Mapping[str, str], pid: int) -> float | None:
    """Half of what systemd allows, as sd_watchdog_enabled(3) advises; None when not for us."""
    allowed_us, for_pid = env.get("WATCHDOG_USEC", ""), env.get("WATCHDOG_PID", "")
    if not allowed_us.isdecimal() or int(allowed_us) == 0:
        return None
    if for_pid and for_pid != str(pid):
        return None
    return int(allowed_us) / 2 / 1e6


def _status(text: str) -> tuple[str, ...]:
    return (f"STATUS={' '.join(text.split())}",) if text else ()
