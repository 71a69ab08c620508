"""Who gets through mutual TLS, who does not, and what a person is told about it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from identity_world import NODE_A, NODE_B, Member, node, operator
from tls_server import Server

from identity.authority import Authority
from identity.certificate import read_certificate
from identity.issue import new_ca
from identity.keys import key_pem
from identity.names import Identity
from identity.trust import ca_pem
from multicloud.channel import Credentials, diagnose, explain, open_channel, who_is
from multicloud.errors import McError
from multicloud.v1 import admin_pb2, admin_pb2_grpc

DAY_S = 86400
TIMEOUT_S = 5.0
NAME_A = Identity.node("prod", NODE_A).dns_name


@pytest.fixture
async def server(authority: Authority, tmp_path: Path) -> AsyncIterator[Server]:
    async with Server(authority, node(authority), tmp_path / "node") as running:
        yield running


async def call(address: str, dns_name: str, credentials: Credentials) -> None:
    channel = open_channel(address, dns_name, credentials)
    try:
        stub = admin_pb2_grpc.AdminServiceStub(channel)
        await stub.ListNodes(admin_pb2.ListNodesRequest(), timeout=TIMEOUT_S)
    finally:
        await channel.close()


async def refusal(address: str, dns_name: str, credentials: Credentials) -> McError:
    """What a person is told when a call does not get through."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call(address, dns_name, credentials)
    assert failed.value.code() == grpc.StatusCode.UNAVAILABLE
    found = await diagnose(address, dns_name, credentials, TIMEOUT_S)
    if "your own" not in found.message:  # gRPC never hears why it was refused.
        assert explain(failed.value, address).reason == found.reason
    return found


def shown(authority: Authority, certificate: bytes, key: bytes) -> Credentials:
    """Trusts the server's CA and shows what is given."""
    return Credentials(certificate, key, ca_pem(authority.trust))


async def test_members_get_through(server: Server, authority: Authority) -> None:
    for member in (node(authority, NODE_B), operator(authority)):
        await call(server.address, NAME_A, member.credentials(authority))
        assert member.identity.uri in server.echo.callers


async def test_nobody_gets_through_without_a_certificate(
    server: Server, authority: Authority
) -> None:
    channel = grpc.aio.secure_channel(
        server.address,
        grpc.ssl_channel_credentials(ca_pem(authority.trust)),
        [("grpc.ssl_target_name_override", NAME_A)],
    )
    with pytest.raises(grpc.aio.AioRpcError):
        await admin_pb2_grpc.AdminServiceStub(channel).ListNodes(
            admin_pb2.ListNodesRequest(), timeout=TIMEOUT_S
        )
    await channel.close()
    assert server.echo.callers == []


def self_signed() -> tuple[bytes, bytes]:
    key, ca = new_ca("prod", time.time())
    member = Identity.operator("prod", "ada")
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(member.uri)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(ca.subject)
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(ca.not_valid_before_utc)
        .not_valid_after(ca.not_valid_after_utc)
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM), key_pem(key)

    return Encoding.PEM


async def test_a_self_signed_certificate_is_refused(server: Server, authority: Authority) -> None:
    error = await refusal(server.address, NAME_A, shown(authority, *self_signed()))
    assert error.reason == "UNREACHABLE"
    assert "does not accept this certificate" in error.message
    assert server.echo.callers == []


async def test_a_certificate_of_another_ca_is_refused(
    server: Server, authority: Authority, stranger: Authority
) -> None:
    foreign = operator(stranger)
    error = await refusal(
        server.address, NAME_A, shown(authority, foreign.certificate_pem, foreign.key_pem)
    )
    assert "does not accept this certificate" in error.message
    assert server.echo.callers == []


@pytest.mark.parametrize(
    ("shift_s", "said"), [(-60 * DAY_S, "has expired"), (DAY_S, "is not valid before")]
)
async def test_a_certificate_outside_its_time_is_refused_and_its_owner_told(
    shift_s: float, said: str, server: Server, authority: Authority
) -> None:
    late = operator(authority, now=time.time() + shift_s)
    error = await refusal(server.address, NAME_A, late.credentials(authority))
    assert error.reason == "CERTIFICATE_EXPIRED"
    assert f"your own certificate {said}" in error.message
    assert server.echo.callers == []


async def test_the_right_ca_and_the_wrong_node_is_refused(
    server: Server, authority: Authority
) -> None:
    wrong = Identity.node("prod", NODE_B).dns_name
    error = await refusal(server.address, wrong, operator(authority).credentials(authority))
    assert error.reason == "WRONG_PEER"
    assert NODE_A in error.message
    assert NODE_B in error.message
    assert server.echo.callers == []


async def test_a_server_of_another_ca_is_refused(server: Server, stranger: Authority) -> None:
    error = await refusal(server.address, NAME_A, operator(stranger).credentials(stranger))
    assert error.reason == "WRONG_PEER"
    assert server.echo.callers == []


async def test_a_server_whose_certificate_runs_out_is_told_from_others(
    authority: Authority, tmp_path: Path
) -> None:
    ends_s = 2.0
    brief = node(authority, days=ends_s / DAY_S)
    async with Server(authority, brief, tmp_path / "brief") as running:
        while time.time() <= read_certificate(brief.certificate_pem).not_after_unix_s + 1:
            await asyncio.sleep(0.05)
        error = await refusal(running.address, NAME_A, operator(authority).credentials(authority))
    assert error.reason == "CERTIFICATE_EXPIRED"
    assert running.address in error.message


def mine(authority: Authority) -> Credentials:
    return operator(authority).credentials(authority)


async def test_who_is_at_an_address_can_be_asked_first(
    server: Server, authority: Authority
) -> None:
    holder = read_certificate(await who_is(server.address, mine(authority), TIMEOUT_S))
    assert holder == server.identity.holder


async def test_who_is_believes_no_other_ca(server: Server, stranger: Authority) -> None:
    with pytest.raises(McError, match="not of this cluster") as refused:
        await who_is(server.address, mine(stranger), TIMEOUT_S)
    assert refused.value.reason == "WRONG_PEER"


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def speaks_http(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()
    writer.close()


async def is_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def hangs_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize(
    ("handler", "timeout_s", "said"),
    [
        (speaks_http, TIMEOUT_S, "does not speak TLS"),
        (is_silent, 0.3, "gave no answer within 0.3 s"),
        (hangs_up, TIMEOUT_S, "does not speak TLS"),
    ],
)
async def test_what_is_no_node_is_named(
    handler: Handler, timeout_s: float, said: str, authority: Authority
) -> None:
    async with await asyncio.start_server(handler, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        with pytest.raises(McError, match=said) as refused:
            await who_is(f"127.0.0.1:{port}", mine(authority), timeout_s)
    assert refused.value.reason == "UNREACHABLE"


async def test_where_nothing_listens_is_named(authority: Authority) -> None:
    async with await asyncio.start_server(hangs_up, "127.0.0.1", 0) as gone:
        port = gone.sockets[0].getsockname()[1]
    with pytest.raises(McError, match="nothing listens") as refused:
        await who_is(f"127.0.0.1:{port}", mine(authority), TIMEOUT_S)
    assert refused.value.reason == "UNREACHABLE"


async def test_a_renewed_certificate_is_shown_without_a_restart(
    server: Server, authority: Authority
) -> None:
    trust = mine(authority)
    before = read_certificate(await who_is(server.address, trust, TIMEOUT_S))
    own = server.identity.holder.identity
    server.identity.install(
        authority.issue(own, "aws-a", {"node"}, server.identity.prepare(), 90, time.time())
    )
    after = read_certificate(await who_is(server.address, trust, TIMEOUT_S))
    assert after.serial != before.serial
    assert after == server.identity.holder


async def test_old_and_new_ca_overlap_and_then_the_old_one_is_gone(
    server: Server, authority: Authority
) -> None:
    old = operator(authority)
    server.identity.install_trust(authority.rotate())
    new = operator(authority)
    for member in (old, new):
        await call(server.address, NAME_A, member.credentials(authority))
    own = server.identity.holder.identity
    server.identity.install(
        authority.issue(own, "aws-a", {"node"}, server.identity.prepare(), 90, time.time())
    )
    server.identity.install_trust(authority.retire())
    await call(server.address, NAME_A, new.credentials(authority))
    error = await refusal(server.address, NAME_A, old.credentials(authority))
    assert "does not accept this certificate" in error.message


@pytest.mark.parametrize("cluster", ["a", "a..b", "under_score", "x" * 63, "ends-", "ends."])
async def test_every_lawful_name_of_a_cluster_can_be_pinned(cluster: str, tmp_path: Path) -> None:
    odd = Authority.create(tmp_path / "odd", cluster, "passphrase")
    member: Member = node(odd)
    async with Server(odd, member, tmp_path / "node") as running:
        await call(running.address, member.identity.dns_name, operator(odd).credentials(odd))
        assert running.echo.callers
