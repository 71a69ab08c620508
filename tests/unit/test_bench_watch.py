"""The measuring of the watch, itself measured: bytes that were sent, and who knew what when."""

import os
import socket

from tests.bench import traffic
from tests.bench.sight import Seen, last_s

BYTES, PIECE_BYTES = 200_000, 10_000


def test_the_bytes_of_a_process_are_those_that_it_has_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        near = socket.create_connection(listening.getsockname())
        far, _ = listening.accept()
        with near, far:
            there, back = (os.fstat(end.fileno()).st_ino for end in (near, far))
            (before,) = traffic.counted([os.getpid()])
            _carry(near, far)
            (after,) = traffic.counted([os.getpid()])
    assert after[there].bytes - before[there].bytes == BYTES
    assert after[there].segments > before[there].segments
    assert after[back] == before[back], "what is received is not what is sent"


def _carry(near: socket.socket, far: socket.socket) -> None:
    for _ in range(BYTES // PIECE_BYTES):
        near.sendall(b"x" * PIECE_BYTES)
        assert len(far.recv(PIECE_BYTES, socket.MSG_WAITALL)) == PIECE_BYTES


def test_the_last_observer_decides_when_all_know() -> None:
    found = [
        Seen("a", "node.down", "c", 10.1),
        Seen("b", "node.down", "c", 10.4),
        Seen("b", "node.down", "c", 19.0),
        Seen("a", "node.dead", "c", 13.0),
    ]
    assert round(last_s(found, "node.down", 2, 10.0) or 0, 3) == 0.4
    assert last_s(found, "node.dead", 2, 10.0) is None, "one of them does not know it"
