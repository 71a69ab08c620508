"""A daemon under attack keeps serving others, and its memory stays within its bound."""

import asyncio
import json
import os
import resource
import ssl
import time
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from multicloud.channel import Credentials, open_channel
from multicloud.v1 import admin_pb2
from nodeagent.config.load import load
from nodeagent.rpc.access import ADMIN
from tests.support.nodes import Place, admin, lines_of_audit, make_place, until
from tests.support.people import CLUSTER, People
from tests.support.process import DaemonProcess, daemon

LIST = admin_pb2.ListNodesRequest()
RSS_BYTES_MAX = 256 << 20
REFUSED = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def place(people: People, tmp_path: Path) -> Place:
    return make_place(people, tmp_path, 1)


def api_of(place: Place) -> tuple[str, int]:
    host, _, port = load(place.config, {}, {}).config.listen.api.rpartition(":")
    return host, int(port)


async def served(place: Place, who: Credentials, timeout_s: float = 10) -> None:
    """A new connection and one call on it."""
    host, port = api_of(place)
    opened = open_channel(f"{host}:{port}", f"{place.id}.node.test", who)
    try:
        await admin(opened).ListNodes(LIST, timeout=timeout_s, wait_for_ready=True)
    finally:
        await opened.close()


def rss_bytes(one: DaemonProcess) -> int:
    pages = int(Path(f"/proc/{one.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def test_600_idle_connections_lock_nobody_out(place: Place, people: People) -> None:
    ada = people.operator("ada", ADMIN)
    async with daemon(place) as one:
        resource.prlimit(one.pid, resource.RLIMIT_NOFILE, (256, 256))
        host, port = api_of(place)
        idle: list[asyncio.StreamWriter] = []

        async def sit() -> None:
            try:
                _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 5)
                idle.append(writer)
            except (OSError, TimeoutError):
                pass  # Refused is as good: it is the attacker's.

        await asyncio.gather(*(sit() for _ in range(600)))
        assert len(idle) > 200
        try:
            await served(place, ada, timeout_s=15)
            assert rss_bytes(one) < RSS_BYTES_MAX
        finally:
            for writer in idle:
                writer.close()


async def test_rapid_resets_cost_little_and_others_are_served(place: Place, people: People) -> None:
    ada = people.operator("ada", ADMIN)
    async with daemon(place) as one:
        host, port = api_of(place)
        before = rss_bytes(one)
        attacker = open_channel(
            f"{host}:{port}", f"{place.id}.node.test", people.operator("eve", ADMIN)
        )
        deadline_s = time.monotonic() + 5
        try:
            for _ in range(50):
                calls = [admin(attacker).ListNodes(LIST, timeout=5) for _ in range(100)]
                for call in calls:
                    call.cancel()
                if time.monotonic() > deadline_s:
                    break
                await asyncio.sleep(0)
            await served(place, ada)
        finally:
            await attacker.close()
        assert rss_bytes(one) - before < 64 << 20


async def test_random_bytes_end_their_connection_and_nothing_else(
    place: Place, people: People
) -> None:
    async with daemon(place) as one:
        host, port = api_of(place)
        for size in (1, 100, 10_000, 100_000):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(os.urandom(size))
            with suppress(OSError):
                async with asyncio.timeout(10):
                    while await reader.read(1 << 16):
                        pass
            writer.close()
        await served(place, people.operator("ada", ADMIN))
        assert rss_bytes(one) < RSS_BYTES_MAX


async def test_random_bytes_inside_tls_end_their_connection_and_nothing_else(
    place: Place, people: People, tmp_path: Path
) -> None:
    ada = people.operator("ada", ADMIN)
    context = ssl.create_default_context(cadata=ada.ca_pem.decode())
    context.check_hostname = False
    context.set_alpn_protocols(["h2"])
    shown = tmp_path / "ada.pem"
    shown.write_bytes(ada.certificate_pem + ada.key_pem)
    context.load_cert_chain(shown)
    async with daemon(place) as one:
        host, port = api_of(place)
        for data in (os.urandom(50_000), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + os.urandom(50_000)):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            writer.write(data)
            with suppress(OSError):
                async with asyncio.timeout(10):
                    while await reader.read(1 << 16):
                        pass
            writer.transport.abort()
        await served(place, ada)
        assert rss_bytes(one) < RSS_BYTES_MAX


async def test_bombs_leave_memory_within_its_bound(place: Place, people: People) -> None:
    node = people.node("00000000000000aa")
    async with daemon(place) as one:
        host, port = api_of(place)
        opened = open_channel(f"{host}:{port}", f"{place.id}.node.test", node)
        greet = opened.unary_unary("/multicloud.v1.PeerService/Greet")
        try:
            for _ in range(5):
                for data, compression in (
                    (b"\x0a\x00" * (1 << 21), None),
                    (bytes(64 << 20), grpc.Compression.Gzip),
                ):
                    with pytest.raises(grpc.aio.AioRpcError):
                        await greet(data, timeout=20, compression=compression)
        finally:
            await opened.close()
        await served(place, people.operator("ada", ADMIN))
        assert rss_bytes(one) < RSS_BYTES_MAX


async def test_whoever_fails_the_handshake_is_in_the_audit_log_with_the_reason(
    place: Place, people: People, tmp_path: Path
) -> None:
    eve = f"spiffe://{CLUSTER}/operator/eve"
    foreign = People(tmp_path / "other").operator("eve", ADMIN)
    callers = {
        "expired": people.odd([eve], [ADMIN], valid_s=(-3600, -60)),
        "not valid yet": people.odd([eve], [ADMIN], valid_s=(3600, 7200)),
        "another CA": Credentials(foreign.certificate_pem, foreign.key_pem, people.ca),
    }
    async with daemon(place):
        for who in callers.values():
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await served(place, who, timeout_s=2)
            assert caught.value.code() in REFUSED
        host, port = api_of(place)
        bare = ssl.create_default_context(cadata=people.ca.decode())
        bare.check_hostname = False
        bare.set_alpn_protocols(["h2"])
        reader, writer = await asyncio.open_connection(host, port, ssl=bare)
        with suppress(OSError):
            await reader.read()
        writer.transport.abort()

        def reasons() -> list[tuple[str, str]]:
            records = [json.loads(line) for line in lines_of_audit(place)]
            return [(r["reason"], r["resource"]) for r in records if r["rpc"] == "TLS"]

        def complete() -> bool:
            said = " ".join(text for _, text in reasons())
            return all(
                part in said
                for part in ("has expired", "not valid yet", "another CA", "shows no certificate")
            )

        await until(complete)
        assert {reason for reason, _ in reasons()} == {
            "CERTIFICATE_EXPIRED",
            "UNTRUSTED",
            "NO_IDENTITY",
        }
