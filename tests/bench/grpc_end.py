"""One end of a bare gRPC stream over mutual TLS: bytes in messages of 1 MiB, nothing looked at.
What gRPC itself takes, under everything that is ours.

    python -m tests.bench.grpc_end CERTIFICATE KEY CA

Asked to `serve`, it tells its port; asked to `push`, it sends so many MiB and tells the seconds
until the other end has them all.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc

from nodeagent.memory import raise_malloc_thresholds
from tests.bench.lines import answer

HOST = "127.0.0.1"
MIB = 1 << 20
SERVICE, METHOD = "bench.Bare", "Push"
_OPTIONS = [("grpc.max_receive_message_length", 4 * MIB)]


class End:
    def __init__(self, certificate: str, key: str, ca: str) -> None:
        self._certificate, self._key, self._ca = (
            Path(name).read_bytes() for name in (certificate, key, ca)
        )
        self._serving: grpc.aio.Server | None = None

    async def serve(self) -> int:
        server = grpc.aio.server(options=_OPTIONS)
        take: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_unary_rpc_method_handler(_take)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {METHOD: take}),)
        )
        pair = [(self._key, self._certificate)]
        credentials = grpc.ssl_server_credentials(pair, self._ca, require_client_auth=True)
        port: int = server.add_secure_port(f"{HOST}:0", credentials)
        await server.start()
        self._serving = server
        return port

    async def push(self, port: int, name: str, mib: int) -> float:
        credentials = grpc.ssl_channel_credentials(self._ca, self._key, self._certificate)
        options = [*_OPTIONS, ("grpc.ssl_target_name_override", name)]
        piece = bytes(MIB)
        async with grpc.aio.secure_channel(f"{HOST}:{port}", credentials, options) as channel:
            await channel.channel_ready()
            begun_s = time.perf_counter()
            method: grpc.aio.StreamUnaryMultiCallable[bytes, bytes]
            method = channel.stream_unary(f"/{SERVICE}/{METHOD}")
            call = method()
            for _ in range(mib):
                await call.write(piece)
            await call.done_writing()
            await call
            return time.perf_counter() - begun_s


async def _take(requests: AsyncIterator[bytes], _context: object) -> bytes:
    async for _ in requests:
        pass
    return b"x"


async def main() -> None:
    end = End(*sys.argv[1:4])

    async def asked(line: dict[str, Any]) -> Any:
        return await getattr(end, line.pop("what"))(**line)

    await answer(asked)


if __name__ == "__main__":
    raise_malloc_thresholds()
    asyncio.run(main())
