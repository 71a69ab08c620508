"""gRPC's core writes its own lines to stderr, among them why a TLS handshake was refused, which it
tells nobody else. This reads them, so that they become events and lines of the audit log.
"""

import os
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass

LINE_BYTES_MAX = 64 << 10
# I1120 13:49:28.772255    6553 ssl_transport_security.cc:2563] Handshake failed with…
_CORE = re.compile(r"^([IWEF])\d{4} [\d:.]+ +\d+ (\S+:\d+)\] (.*)$")
_HANDSHAKE = "Handshake failed with error"
LEVELS = {"I": "debug", "W": "warning", "E": "error", "F": "critical"}
REFUSALS = {
    "certificate has expired": ("CERTIFICATE_EXPIRED", "its certificate has expired"),
    "certificate is not yet valid": ("CERTIFICATE_EXPIRED", "its certificate is not valid yet"),
    "unable to get local issuer": ("UNTRUSTED", "its certificate is of another CA"),
    "self signed certificate": ("UNTRUSTED", "its certificate is self-signed"),
    "self-signed certificate": ("UNTRUSTED", "its certificate is self-signed"),
    "CERTIFICATE_VERIFY_FAILED": ("UNTRUSTED", "its certificate does not verify"),
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": ("NO_IDENTITY", "it shows no certificate"),
    "HTTP_REQUEST": ("NO_IDENTITY", "it speaks plain HTTP, not TLS"),
    "WRONG_VERSION_NUMBER": ("NO_IDENTITY", "it does not speak TLS"),
}


@dataclass(frozen=True, slots=True)
class CoreLine:
    """One line of gRPC's core. `reason` is set when it refused a caller in the handshake."""

    level: str
    source: str
    text: str
    reason: str = ""
    why: str = ""


def read_line(line: str) -> CoreLine | None:
    found = _CORE.match(line)
    if not found:
        return None
    level, source, text = found.groups()
    if _HANDSHAKE not in text:
        return CoreLine(LEVELS[level], source, text)
    for mark, (reason, why) in REFUSALS.items():
        if mark in text:
            return CoreLine("info", source, text, reason, why)
    return CoreLine("info", source, text, "NO_IDENTITY", "the TLS handshake failed")


class CoreLines:
    """Stands between gRPC's core and the real stderr, in a thread of its own."""

    def __init__(self, on_line: Callable[[CoreLine], None]) -> None:
        self._on_line = on_line
        sys.stderr.flush()
        self._real = os.dup(2)
        read_end, write_end = os.pipe()
        os.dup2(write_end, 2)
        os.close(write_end)
        self._thread = threading.Thread(
            target=self._read, args=(read_end,), name="core-lines", daemon=True
        )
        self._thread.start()

    def _read(self, read_end: int) -> None:
        with os.fdopen(read_end, "rb") as lines:
            while raw := lines.readline(LINE_BYTES_MAX):
                line = read_line(raw.decode(errors="replace").rstrip("\n"))
                if line is None:
                    os.write(self._real, raw)  # A traceback of the interpreter, a library's cry.
                else:
                    self._on_line(line)

    def close(self) -> None:
        """Gives stderr back; returns when all that was written has been read."""
        sys.stderr.flush()
        os.dup2(self._real, 2)
        self._thread.join(timeout=2.0)
        os.close(self._real)
