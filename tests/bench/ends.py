"""Both ends of a link, in a process apart from the link: plain sockets in threads.

    python -m tests.bench.ends

Prints the port that it serves on; then answers each line of its input, `ping PORT COUNT` with
milliseconds and `push PORT MIB STREAMS`, over so many connections at once, with MiB/s, in JSON.
"""

import json
import socket
import sys
import threading
import time

HOST = "127.0.0.1"
PIECE = b"\0" * (256 << 10)
MIB = 1 << 20
PING, PUSH = b"i", b"u"
SIZE_BYTES = 8


def main() -> None:
    listening = socket.create_server((HOST, 0))
    threading.Thread(target=_serve, args=(listening,), daemon=True).start()
    _tell(listening.getsockname()[1])
    for line in sys.stdin:
        what, port, count, *streams = line.split()
        if what == "push":
            _tell(_pushed(int(port), int(count), int(streams[0]) if streams else 1))
            continue
        with _connected(int(port)) as near:
            _tell(_ping(near, int(count)))


def _connected(port: int) -> socket.socket:
    near = socket.create_connection((HOST, port))
    near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return near


def _tell(found: object) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


def _ping(near: socket.socket, count: int) -> list[float]:
    near.sendall(PING)
    found_ms = []
    for _ in range(count + 1):  # The first is of the handshake, too.
        begun_ns = time.perf_counter_ns()
        near.sendall(b"x")
        near.recv(1)
        found_ms.append((time.perf_counter_ns() - begun_ns) / 1e6)
    return found_ms[1:]


def _pushed(port: int, mib: int, streams: int) -> float:
    """All together; each connection carries its part."""
    connected = [_connected(port) for _ in range(streams)]
    pushing = [threading.Thread(target=_push, args=(one, mib // streams)) for one in connected]
    begun_s = time.perf_counter()
    for thread in pushing:
        thread.start()
    for thread in pushing:
        thread.join()
    return mib / (time.perf_counter() - begun_s)


def _push(near: socket.socket, mib: int) -> None:
    with near:
        near.sendall(PUSH + (mib * MIB).to_bytes(SIZE_BYTES))
        for _ in range(mib * MIB // len(PIECE)):
            near.sendall(PIECE)
        near.recv(1)


def _serve(listening: socket.socket) -> None:
    while True:
        far, _ = listening.accept()
        threading.Thread(target=_answer, args=(far,), daemon=True).start()


def _answer(far: socket.socket) -> None:
    far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with far:
        if far.recv(1) == PING:
            while data := far.recv(1):
                far.sendall(data)
            return
        left = int.from_bytes(far.recv(SIZE_BYTES, socket.MSG_WAITALL))
        while left > 0:
            left -= len(far.recv(min(left, len(PIECE)))) or left
        far.sendall(b"x")


if __name__ == "__main__":
    main()
