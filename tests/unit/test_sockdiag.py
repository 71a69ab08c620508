"""The kernel's round-trip times of real connections on this machine."""

import asyncio
import socket
import struct
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager

import pytest

from nodeagent.ops.sockdiag import PORTS_APART_MAX, Remote, min_rtts_ms

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has sock_diag")


@contextmanager
def connected(
    listen_on: str = "127.0.0.1", dial: str | None = None
) -> Iterator[tuple[Remote, socket.socket, socket.socket]]:
    """An established connection: where it leads to, its near end, its far end."""
    family = socket.AF_INET6 if ":" in listen_on else socket.AF_INET
    with closing(socket.create_server((listen_on, 0), family=family)) as server:
        port = server.getsockname()[1]
        dial_family = socket.AF_INET6 if dial and ":" in dial else family
        with closing(socket.socket(dial_family)) as near:
            near.connect((dial or listen_on, port))
            far, _ = server.accept()
            with closing(far):
                yield (listen_on, port), near, far


def exchange(near: socket.socket, far: socket.socket) -> None:
    near.sendall(b"x")
    assert far.recv(1) == b"x"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_connection_over_loopback_is_far_under_a_millisecond(address: str) -> None:
    with connected(address) as (remote, near, far):
        exchange(near, far)
        found = min_rtts_ms([remote])
    assert set(found) == {remote}
    assert 0 < found[remote] < 5


def test_a_dual_stack_socket_is_found_by_the_ipv4_address_that_it_leads_to() -> None:
    with connected("127.0.0.1", dial="::ffff:127.0.0.1") as (remote, near, far):
        exchange(near, far)
        assert set(min_rtts_ms([remote])) == {remote}


def test_only_who_was_asked_for_is_told() -> None:
    with connected() as (first, *_), connected() as (second, *_), connected() as (third, *_):
        asked = [first, third, ("127.0.0.1", 1), ("203.0.113.5", second[1])]
        assert set(min_rtts_ms(asked)) == {first, third}
        assert min_rtts_ms([]) == {}
    assert min_rtts_ms([first]) == {}, "it is closed"


def test_of_several_connections_the_least_counts() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server, ExitStack() as stack:
        remote = server.getsockname()
        near = [stack.enter_context(socket.create_connection(remote)) for _ in range(32)]
        for one in near:
            exchange(one, stack.enter_context(server.accept()[0]))
        infos = [one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256) for one in near]
        each_ms = [struct.unpack_from("=I", info, 148)[0] / 1000 for info in infos]
        assert min_rtts_ms([remote]) == {remote: min(each_ms)}


def test_many_ports_are_asked_for_at_once() -> None:
    with ExitStack() as stack:
        opened = [stack.enter_context(connected()) for _ in range(PORTS_APART_MAX + 2)]
        remotes = [remote for remote, *_ in opened]
        assert set(min_rtts_ms(remotes)) == set(remotes)


@asynccontextmanager
async def delaying_proxy(to: Remote, delay_s: float) -> AsyncIterator[Remote]:
    """Ends the connection here and passes bytes on later, as a load balancer far away does."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            while data := await reader.read(1024):
                await asyncio.sleep(delay_s)
                writer.write(data)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward = await asyncio.open_connection(*to)
        async with asyncio.TaskGroup() as group:
            group.create_task(pump(reader, onward[1]))
            group.create_task(pump(onward[0], writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[:2]


async def test_behind_a_proxy_the_kernel_sees_only_the_way_to_the_proxy() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            while data := await reader.read(1024):
                writer.write(data)

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, delaying_proxy(server.sockets[0].getsockname()[:2], 0.03) as proxy:
        reader, writer = await asyncio.open_connection(*proxy)
        with closing(writer):
            begun_s = asyncio.get_running_loop().time()
            writer.write(b"x")
            await reader.readexactly(1)
            took_ms = (asyncio.get_running_loop().time() - begun_s) * 1000
            found = await asyncio.to_thread(min_rtts_ms, [proxy])
    assert took_ms >= 60
    assert found[proxy] < 20, "so the application's figure has to be the truth there"
