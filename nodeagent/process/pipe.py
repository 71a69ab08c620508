"""Frames between a process and its workers: a byte that says what, a length, and so many bytes.

Both sides are bounded. The blocking side is that of workers; the daemon reads by asyncio streams.
"""

import json
import socket
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Any

HEAD = Struct(">BI")
FRAME_BYTES_MAX = 64 << 20


class Kind(IntEnum):
    # To a worker.
    TASK = 1
    BYTES = 2  # The answer to READ.
    NO_BYTES = 3  # Or why there is none.
    CHECK = 4
    # From a worker.
    READY = 16
    READ = 17
    OPENED = 18
    DATA = 19
    CLOSED = 20
    QUARANTINED = 21
    DONE = 22
    FAILED = 23
    BUSY = 24  # It waits for a function of the operator's, and goes on waiting.
    CHECKED = 25
    # To and from the process of a function.
    LOAD = 32
    RECORDS = 33
    RESULTS = 34
    LOADED = 35
    NOT_LOADED = 36


class Gone(Exception):
    """The other side has ended, or says what makes no sense."""


@dataclass(frozen=True, slots=True)
class Frame:
    kind: int
    payload: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.payload)


def framed(kind: Kind, payload: bytes) -> bytes:
    return HEAD.pack(kind, len(payload)) + payload


def said(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


class Pipe:
    """The blocking side."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, kind: Kind, payload: bytes = b"") -> None:
        try:
            self._connection.sendall(HEAD.pack(kind, len(payload)))
            self._connection.sendall(payload)
        except OSError as error:
            raise Gone(str(error)) from error

    def receive(self, bytes_max: int = FRAME_BYTES_MAX) -> Frame:
        kind, size = HEAD.unpack(self._exactly(HEAD.size))
        if size > bytes_max:
            raise Gone(f"a frame of {size} bytes")
        return Frame(kind, self._exactly(size))

    def _exactly(self, size: int) -> bytes:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            try:
                count = self._connection.recv_into(view)
            except OSError as error:
                raise Gone(str(error)) from error
            if not count:
                raise Gone("it has ended")
            view = view[count:]
        return bytes(data)
