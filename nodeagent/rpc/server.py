"""A gRPC server with every bound set and mTLS that follows the certificate as it is renewed."""

import grpc

from multicloud.channel import SERVER_KEEPALIVE_OPTIONS
from multicloud.errors import McError
from nodeagent.config.model import Limits


def server_options(limits: Limits) -> list[tuple[str, int]]:
    return [
        ("grpc.max_concurrent_streams", limits.streams_per_connection_max),
        ("grpc.max_receive_message_length", limits.message_bytes_max),
        ("grpc.max_send_message_length", limits.message_bytes_max),
        ("grpc.max_metadata_size", limits.metadata_bytes_max),
        ("grpc.absolute_max_metadata_size", limits.metadata_bytes_max),
        # The default of two minutes lets a few hundred idle connections lock everybody out.
        ("grpc.server_handshake_timeout_ms", int(limits.handshake_timeout_s * 1000)),
        ("grpc.max_connection_idle_ms", limits.connection_idle_s * 1000),
        ("grpc.max_connection_age_ms", limits.connection_age_s * 1000),
        ("grpc.max_connection_age_grace_ms", limits.connection_age_s * 1000),
        *SERVER_KEEPALIVE_OPTIONS,
        ("grpc.http2.max_ping_strikes", 2),
        # Two daemons on one port would share the calls between them.
        ("grpc.so_reuseport", 0),
    ]


def listen(
    server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials, option: str
) -> int:
    try:
        port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise McError(
            "ADDRESS_IN_USE", f"cannot listen on {address} ({option}): {error}"
        ) from error
    return port
