"""Channels to nodes: mutual TLS always, and pinned to the one node that is meant."""

from collections.abc import Sequence
from typing import Any

import grpc

from multicloud.credentials import Credentials
from multicloud.whois import diagnose, explain, who_is

__all__ = ["Credentials", "diagnose", "explain", "open_channel", "who_is"]

MESSAGE_BYTES_MAX = 4 << 20
KEEPALIVE_S = 20
KEEPALIVE_TIMEOUT_S = 10
RECONNECT_S_MIN, RECONNECT_S_MAX = 0.2, 5.0

# What a server needs so that it does not take our keepalive for abuse.
SERVER_KEEPALIVE_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_S * 1000 // 2),
    ("grpc.keepalive_permit_without_calls", 1),
)


def open_channel(
    address: str,
    dns_name: str,
    credentials: Credentials,
    *,
    message_bytes_max: int = MESSAGE_BYTES_MAX,
    options: Sequence[tuple[str, Any]] = (),
) -> grpc.aio.Channel:
    """A channel that speaks to the holder of `dns_name` at `address`, and to nobody else."""
    how = [*_options(dns_name, message_bytes_max), *options]
    return grpc.aio.secure_channel(address, _secured(credentials), options=how)


def open_blocking_channel(
    address: str, dns_name: str, credentials: Credentials, *, connect_s_min: float
) -> grpc.Channel:
    """The same for callers without an event loop; an attempt to connect may take so long."""
    how = _options(dns_name, MESSAGE_BYTES_MAX)
    how.append(("grpc.min_reconnect_backoff_ms", int(connect_s_min * 1000)))
    return grpc.secure_channel(address, _secured(credentials), options=how)


def _secured(credentials: Credentials) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        root_certificates=credentials.ca_pem,
        private_key=credentials.key_pem,
        certificate_chain=credentials.certificate_pem,
    )


def _options(dns_name: str, message_bytes_max: int) -> list[tuple[str, Any]]:
    return [
        ("grpc.ssl_target_name_override", dns_name),
        ("grpc.default_authority", dns_name),
        ("grpc.enable_retries", 0),  # We know what may be repeated; gRPC does not.
        # Two channels to one address may be for two identities: no shared connections.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),  # Peers are dialled, whatever the environment says.
        ("grpc.max_receive_message_length", message_bytes_max),
        ("grpc.max_send_message_length", message_bytes_max),
        ("grpc.keepalive_time_ms", KEEPALIVE_S * 1000),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_S * 1000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", int(RECONNECT_S_MIN * 1000)),
        ("grpc.min_reconnect_backoff_ms", int(RECONNECT_S_MIN * 1000)),
        ("grpc.max_reconnect_backoff_ms", int(RECONNECT_S_MAX * 1000)),
    ]
