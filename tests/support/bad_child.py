"""A node of the cluster that answers PutChunk and GetChunk as a script says: badly, as a rule."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc

from multicloud.channel import Credentials
from tests.support.nodes import free_ports

Script = Callable[[grpc.aio.ServicerContext[bytes, bytes]], Awaitable[None]]


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, script: Script) -> None:
        self._script = script

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        if "/multicloud.v1.ChunkService/" not in details.method:
            return None

        async def serve(_requests: Any, context: Any) -> None:
            await context.send_initial_metadata(())
            await self._script(context)

        return grpc.stream_stream_rpc_method_handler(serve)


@asynccontextmanager
async def bad_child(who: Credentials, script: Script) -> AsyncIterator[str]:
    """Its address."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Handler(script),))
    (port,) = free_ports(1)
    credentials = grpc.ssl_server_credentials(
        [(who.key_pem, who.certificate_pem)], who.ca_pem, require_client_auth=True
    )
    address = f"127.0.0.1:{port}"
    server.add_secure_port(address, credentials)
    await server.start()
    try:
        yield address
    finally:
        await server.stop(0)
