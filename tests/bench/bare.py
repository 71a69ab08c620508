"""The floor that a guarded call stands on: the same mTLS server, with a handler that only answers.

    python -m tests.bench.bare IDENTITY_FOLDER STATE_FOLDER

Prints its port, and serves until its input ends.
"""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from identity.store import NodeIdentity
from nodeagent.config.model import Limits
from nodeagent.rpc.server import server_options

PATH = "/grpc.health.v1.Health/Check"
_ANSWER = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)


class Bare(grpc.GenericRpcHandler):
    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        if details.method != PATH:
            return None
        return grpc.unary_unary_rpc_method_handler(
            _answer,
            request_deserializer=health_pb2.HealthCheckRequest.FromString,
            response_serializer=health_pb2.HealthCheckResponse.SerializeToString,
        )


async def _answer(_request: Any, _context: Any) -> Any:
    return _ANSWER


@asynccontextmanager
async def bare_server(identity: Path, state: Path) -> AsyncIterator[tuple[int, str]]:
    """Such a server as a process of its own: its pid, and its address."""
    command = (sys.executable, "-m", "tests.bench.bare", str(identity), str(state))
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.pid, f"127.0.0.1:{int(await process.stdout.readline())}"
        process.stdin.close()
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def main(identity: Path, state: Path) -> None:
    server = grpc.aio.server(options=server_options(Limits()))
    server.add_generic_rpc_handlers((Bare(),))
    credentials = NodeIdentity.load(identity, state, env={}).credentials()
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
