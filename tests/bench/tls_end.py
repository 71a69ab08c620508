"""One end of bare Python `ssl` over TCP, mutual as ours is, without anything above it.

    python -m tests.bench.tls_end CERTIFICATE KEY CA

Asked to `serve`, it tells its port; asked to `push`, it sends so many MiB and tells the seconds
until the other end has them all.
"""

import asyncio
import socket
import ssl
import sys
import threading
import time
from typing import Any

from tests.bench.lines import answer

HOST = "127.0.0.1"
MIB = 1 << 20
COUNT_BYTES = 8


class End:
    def __init__(self, certificate: str, key: str, ca: str) -> None:
        self._files = certificate, key, ca

    def serve(self) -> int:
        listening = socket.create_server((HOST, 0))
        context = self._context(ssl.PROTOCOL_TLS_SERVER)
        threading.Thread(target=_serve, args=(listening, context), daemon=True).start()
        port: int = listening.getsockname()[1]
        return port

    def push(self, port: int, mib: int) -> float:
        piece = bytes(MIB)
        context = self._context(ssl.PROTOCOL_TLS_CLIENT)
        with socket.create_connection((HOST, port)) as raw:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with context.wrap_socket(raw) as near:
                begun_s = time.perf_counter()
                near.sendall((mib * MIB).to_bytes(COUNT_BYTES))
                for _ in range(mib):
                    near.sendall(piece)
                near.recv(1)
                return time.perf_counter() - begun_s

    def _context(self, side: int) -> ssl.SSLContext:
        certificate, key, ca = self._files
        context = ssl.SSLContext(side)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False  # Both are made for this run by one authority.
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(ca)
        return context


def _serve(listening: socket.socket, context: ssl.SSLContext) -> None:
    buffer = memoryview(bytearray(MIB))
    while True:
        raw, _ = listening.accept()
        with context.wrap_socket(raw, server_side=True) as far:
            left = int.from_bytes(far.recv(COUNT_BYTES))
            while left > 0:
                left -= far.recv_into(buffer) or left
            far.sendall(b"x")


async def main() -> None:
    end = End(*sys.argv[1:4])

    async def asked(line: dict[str, Any]) -> Any:
        return await asyncio.to_thread(getattr(end, line.pop("what")), **line)

    await answer(asked)


if __name__ == "__main__":
    asyncio.run(main())
