"""Callers that must not get in: without a certificate, and with one of a foreign CA."""

import secrets
import tempfile
import time
from pathlib import Path

import grpc

from identity.authority import Authority
from identity.keys import key_pem, new_key
from identity.names import Identity
from multicloud.channel import Credentials, open_channel
from multicloud.context import Context, Endpoint
from multicloud.v1 import admin_pb2, admin_pb2_grpc

CALL_S_MAX = 3.0


async def without_certificate(context: Context, node: Endpoint) -> str:
    """What a caller hears who knows the CA and shows no certificate; empty when it is let in."""
    trusting = grpc.ssl_channel_credentials(root_certificates=context.ca_pem)
    options = [("grpc.ssl_target_name_override", _dns_name(context, node))]
    return await _refusal(grpc.aio.secure_channel(node.address, trusting, options=options))


async def with_foreign_certificate(context: Context, node: Endpoint) -> str:
    """The same for an admin of another cluster that happens to have the same name."""
    with tempfile.TemporaryDirectory() as folder:
        foreign = Authority.create(Path(folder) / "ca", context.cluster, secrets.token_hex(8))
        key = new_key()
        identity = Identity.operator(context.cluster, "admin")
        certificate = foreign.issue(identity, "admin", ["admin"], key.public_key(), 1, time.time())
    credentials = Credentials(certificate, key_pem(key), context.ca_pem)
    return await _refusal(open_channel(node.address, _dns_name(context, node), credentials))


async def with_own_certificate(context: Context, node: Endpoint) -> str:
    """The control: the cluster's own admin, by the same way. Empty: let in."""
    return await _refusal(open_channel(node.address, _dns_name(context, node), context.credentials))


async def _refusal(channel: grpc.aio.Channel) -> str:
    async with channel:
        try:
            await admin_pb2_grpc.AdminServiceStub(channel).GetStatus(
                admin_pb2.GetStatusRequest(), timeout=CALL_S_MAX
            )
        except grpc.aio.AioRpcError as refused:
            return f"{refused.code().name}: {(refused.details() or '').splitlines()[0][:120]}"
    return ""


def _dns_name(context: Context, node: Endpoint) -> str:
    return Identity.node(context.cluster, node.id).dns_name
