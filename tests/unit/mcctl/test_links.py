"""Links between real sockets: delay, bandwidth, cut, stall, reset, and a target that dies."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from mcctl.dev import flow, ports
from mcctl.dev.network import Network

BOTH = [("a", "b"), ("b", "a")]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Echo:
    """A server that sends back what it gets, and can die and come back."""

    port: int
    server: asyncio.Server | None = None
    received_bytes: int = 0
    ended: int = 0  # Connections.

    async def up(self) -> None:
        self.server = await asyncio.start_server(self._serve, sock=ports.listening(self.port))

    def down(self) -> None:
        assert self.server
        self.server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                self.received_bytes += len(data)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass  # Some tests reset it.
        finally:
            writer.close()
            self.ended += 1


@dataclass
class World:
    network: Network
    echo: Echo
    port: int
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self) -> Streams:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        return reader, writer

    async def connect_when_it_listens(self) -> Streams:
        async with asyncio.timeout(5):
            while True:
                try:
                    return await self.connect()
                except ConnectionRefusedError:
                    await asyncio.sleep(0.005)

    async def refused(self) -> None:
        """Returns once the link refuses connections."""
        async with asyncio.timeout(5):
            while True:
                try:
                    await self.connect()
                except ConnectionRefusedError:
                    return
                await asyncio.sleep(0.005)


@asynccontextmanager
async def world(*, up: bool = True) -> AsyncIterator[World]:
    held = ports.hold(2, random.Random())
    target_port, link_port = (ports.number(raw) for raw in held)
    echo = Echo(target_port)
    if up:
        await echo.up()
    async with Network() as network:
        network.link("a", "b", link_port, network.target("b", target_port))
        found = World(network, echo, link_port)
        yield found
    for writer in found.writers:
        writer.close()
    if echo.server:
        echo.down()
    for raw in held:
        raw.close()


async def said_back(streams: Streams, text: bytes = b"hello", within_s: float = 5.0) -> bytes:
    reader, writer = streams
    writer.write(text)
    return await asyncio.wait_for(reader.readexactly(len(text)), within_s)


async def silent(streams: Streams, text: bytes = b"hello") -> None:
    """Nothing comes back in a time in which it would by far."""
    with pytest.raises(TimeoutError):
        await said_back(streams, text, 0.15)


@pytest.mark.parametrize("one_way_ms", [5, 20, 75])
async def test_a_round_trip_takes_both_delays_and_hardly_more(one_way_ms: int) -> None:
    """How true delays are is a figure of `make bench`; a busy machine only ever adds."""
    async with world() as w:
        w.network.shape(BOTH, one_way_ms / 1000, None)
        streams = await w.connect_when_it_listens()
        await said_back(streams)
        took = []
        for _ in range(15):
            begun = time.perf_counter()
            await said_back(streams)
            took.append((time.perf_counter() - begun) * 1000)
        wanted = 2 * one_way_ms
        assert wanted - 0.1 <= min(took) <= 1.05 * wanted + 10


async def test_a_new_connection_takes_a_round_trip_before_its_first_bytes_travel() -> None:
    async with world() as w:
        streams = await w.connect_when_it_listens()
        w.network.shape(BOTH, 0.03, None)
        begun = time.perf_counter()
        streams = await w.connect()
        await said_back(streams)
        assert time.perf_counter() - begun >= 0.119


async def test_bandwidth_is_kept_and_shared_by_connections() -> None:
    async with world() as w:
        first, second = await w.connect_when_it_listens(), await w.connect()
        w.network.shape([("a", "b")], None, 4e6)
        begun = time.perf_counter()
        await asyncio.gather(*(said_back(s, bytes(400_000)) for s in (first, second)))
        took_s = time.perf_counter() - begun
        assert 0.2 <= took_s < 0.3


async def test_a_cut_holds_what_is_open_and_a_heal_delivers_it() -> None:
    async with world() as w:
        streams = await w.connect_when_it_listens()
        await said_back(streams)
        await w.network.cut(BOTH)
        await silent(streams)
        await w.network.heal(BOTH)
        assert await asyncio.wait_for(streams[0].readexactly(5), 5) == b"hello"


async def test_new_connections_hang_behind_a_cut_and_open_after_it() -> None:
    async with world() as w:
        await w.connect_when_it_listens()
        await w.network.cut(BOTH)
        streams = await w.connect()
        await silent(streams)
        await w.network.heal(BOTH)
        assert await asyncio.wait_for(streams[0].readexactly(5), 5) == b"hello"


async def test_a_cut_hides_the_end_of_a_connection() -> None:
    async with world() as w:
        reader, writer = await w.connect_when_it_listens()
        await said_back((reader, writer))
        await w.network.cut(BOTH)
        w.echo.down()
        await w.network.node_died("b")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.15)
        await silent(await w.connect())
        await w.network.heal(BOTH)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(1), 5)


async def test_a_heal_gets_over_whoever_has_left_meanwhile() -> None:
    async with world() as w:
        streams = await w.connect_when_it_listens()
        other = await w.connect()
        await said_back(other)
        await w.network.cut([("b", "a")])
        await silent(streams)
        await silent(other)
        streams[1].close()  # Its answer, and the end behind it, are still on the way.
        async with asyncio.timeout(5):
            while not w.echo.ended:
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)  # What the kernel takes to pass the end on.
        await w.network.heal(BOTH)
        assert await asyncio.wait_for(other[0].readexactly(5), 5) == b"hello"


async def test_a_one_way_cut_stops_requests_or_answers_only() -> None:
    async with world() as w:
        streams = await w.connect_when_it_listens()
        await said_back(streams)
        before = w.echo.received_bytes
        await w.network.cut([("b", "a")])
        await silent(streams)
        assert w.echo.received_bytes == before + 5
        await w.network.heal(BOTH)
        assert await asyncio.wait_for(streams[0].readexactly(5), 5) == b"hello"
        await w.network.cut([("a", "b")])
        await silent(streams)
        assert w.echo.received_bytes == before + 5


async def test_a_stall_freezes_open_connections_and_not_new_ones() -> None:
    async with world() as w:
        old = await w.connect_when_it_listens()
        await said_back(old)
        w.network.stall(BOTH)
        await silent(old)
        await said_back(await w.connect())
        await w.network.heal(BOTH)
        assert await asyncio.wait_for(old[0].readexactly(5), 5) == b"hello"


async def test_a_reset_ends_open_connections_at_once() -> None:
    async with world() as w:
        streams = await w.connect_when_it_listens()
        await said_back(streams)
        w.network.reset(BOTH)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(streams[0].read(1), 5)
        await said_back(await w.connect())


async def test_a_link_refuses_while_its_target_does_and_comes_back_with_it() -> None:
    async with world(up=False) as w:
        await w.refused()
        await w.echo.up()
        streams = await w.connect_when_it_listens()
        await said_back(streams)
        w.echo.down()
        await w.network.node_died("b")
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(streams[0].read(1), 5)
        await w.refused()
        await w.echo.up()
        await said_back(await w.connect_when_it_listens())


async def test_a_target_that_stops_listening_by_itself_is_found_out() -> None:
    async with world() as w:
        await w.connect_when_it_listens()
        w.echo.down()
        await w.refused()


async def test_half_closed_connections_carry_the_other_half() -> None:
    async with world() as w:
        reader, writer = await w.connect_when_it_listens()
        writer.write(bytes(3_000_000))
        writer.write_eof()
        assert len(await asyncio.wait_for(reader.read(), 10)) == 3_000_000


async def test_what_waits_in_a_link_is_bounded_and_nothing_is_lost() -> None:
    async with world() as w:
        reader, writer = await w.connect_when_it_listens()
        await said_back((reader, writer))
        await w.network.cut(BOTH)
        (link,) = w.network._links["a", "b"]
        (connection,) = link.connections
        total = flow.KEPT_BYTES_MAX * 2
        writer.write(bytes(total))
        async with asyncio.timeout(10):
            while connection.there._kept_bytes <= flow.KEPT_BYTES_MAX:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert connection.there._kept_bytes <= flow.KEPT_BYTES_MAX + (1 << 20)
        await w.network.heal(BOTH)
        assert len(await asyncio.wait_for(reader.readexactly(total), 20)) == total


def test_held_ports_are_not_given_twice_and_refuse_connections() -> None:
    first = ports.hold(50, random.Random(1))
    second = ports.hold(50, random.Random(1))
    numbers = [ports.number(raw) for raw in (*first, *second)]
    assert len(set(numbers)) == 100
    assert all(ports.PORT_MIN <= n < ports.PORT_MAX for n in numbers)
    for raw in (*first, *second):
        raw.close()
