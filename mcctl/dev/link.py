"""A link: the port where one node finds another, and the connections through it.

It listens while its target does, so that a dead daemon looks dead. Behind a cut nobody
can see that, so then it listens as well and lets new connections hang.
"""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from mcctl.dev.flow import End, Flow, reset
from mcctl.dev.path import Path
from mcctl.dev.ports import listening

CONNECTIONS_MAX = 512  # Per link. More are reset: a peer that leaks them must not take all files.
PROBE_EVERY_S = 0.05
HOST = "127.0.0.1"


@dataclass(eq=False)
class Target:
    """A port of a node, as its links see it."""

    port: int
    up: bool = False
    links: list["Link"] = field(default_factory=list)
    went_down: asyncio.Event = field(default_factory=asyncio.Event)

    async def watch(self) -> None:
        """For ever: finds out that the target listens again. That it does not, others tell."""
        while True:
            if await self._answers():
                self.up = True
                self.went_down.clear()
                for link in self.links:
                    await link.settle()
                await self.went_down.wait()
            else:
                await asyncio.sleep(PROBE_EVERY_S)

    async def down(self) -> None:
        """It refuses, or its process has ended."""
        self.up = False
        self.went_down.set()
        for link in self.links:
            await link.settle()
            link.target_died()

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(HOST, self.port)
        except OSError:
            return False
        writer.close()
        return True


class Link:
    def __init__(
        self,
        port: int,
        target: Target,
        there: Path,
        back: Path,
        spawn: Callable[["Connection"], None],
    ) -> None:
        self.port = port
        self.target = target
        self.there, self.back = there, back
        self.connections: set[Connection] = set()
        self._spawn = spawn
        self._server: asyncio.Server | None = None
        self._settling = asyncio.Lock()
        target.links.append(self)

    @property
    def cut(self) -> bool:
        """A handshake needs both directions."""
        return self.there.cut or self.back.cut

    async def settle(self) -> None:
        """Listens, or stops listening, as it should by now."""
        async with self._settling:
            wanted = self.target.up or self.cut
            if wanted and self._server is None:
                loop = asyncio.get_running_loop()
                raw = listening(self.port)
                self._server = await loop.create_server(self._accept, sock=raw, backlog=512)
            elif not wanted and self._server is not None:
                self._server.close()
                self._server = None

    def target_died(self) -> None:
        for connection in list(self.connections):
            connection.far_died()

    def freeze(self, frozen: bool) -> None:
        for connection in list(self.connections):
            connection.freeze(frozen)

    @property
    def frozen(self) -> int:
        """How many connections stand still."""
        return sum(connection.there.frozen for connection in self.connections)

    def reset(self) -> None:
        for connection in list(self.connections):
            connection.reset()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self.reset()

    def _accept(self) -> asyncio.Protocol:
        connection = Connection(self)
        self.connections.add(connection)
        if len(self.connections) <= CONNECTIONS_MAX:
            self._spawn(connection)
        else:
            connection.refuse = True
        return connection.near


class Connection:
    """Two sockets and the two flows between them."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.refuse = False
        self.there = Flow(link.there, self._flow_finished)
        self.back = Flow(link.back, self._flow_finished)
        self.near = Side(self, out=self.there, into=self.back)
        self.far = Side(self, out=self.back, into=self.there)
        self._changed = asyncio.Event()
        self.over = False

    async def open(self) -> None:
        """The handshake with the target: it hangs while the link is cut, and takes a round trip."""
        self.there.path.join(self)
        self.back.path.join(self)
        try:
            while self.link.cut and not self.over:
                self._changed.clear()
                await self._changed.wait()
            now_s = asyncio.get_running_loop().time()
            there_s, back_s = self.there.path.delay_s, self.back.path.delay_s
            self.there.not_before_s = now_s + 2 * there_s + back_s
            await asyncio.sleep(there_s)
            if not self.over:
                await self._dial(back_s)
        finally:
            self.there.path.leave(self)
            self.back.path.leave(self)

    async def _dial(self, back_s: float) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: self.far, HOST, self.link.target.port)
        except OSError as failed:
            await asyncio.sleep(back_s)
            self.reset()
            if isinstance(failed, ConnectionRefusedError):
                await self.link.target.down()

    def wake(self) -> None:
        self._changed.set()

    def freeze(self, frozen: bool) -> None:
        for flow in (self.there, self.back):
            flow.frozen = frozen
            flow.wake()

    def far_died(self) -> None:
        if self.far.transport is not None:
            self.back.feed_end(End.RESET)

    def reset(self) -> None:
        """Both sides get RST, now."""
        for side in (self.near, self.far):
            if side.transport is not None:
                reset(side.transport)
        self._finish()

    def side_lost(self, side: "Side") -> None:
        if self.over:
            return
        other = self.far if side is self.near else self.near
        if other.transport is None or other.transport.is_closing():
            self._finish()
        else:
            side.out.feed_end(End.RESET)

    def _flow_finished(self, flow: Flow) -> None:
        if self.there.ended and self.back.ended:
            for side in (self.near, self.far):
                if side.transport is not None:
                    side.transport.close()
            self._finish()

    def _finish(self) -> None:
        self.over = True
        self.there.close()
        self.back.close()
        self.link.connections.discard(self)
        self._changed.set()


class Side(asyncio.Protocol):
    """One of the two sockets of a connection."""

    def __init__(self, connection: Connection, *, out: Flow, into: Flow) -> None:
        self.transport: asyncio.Transport | None = None
        self.out, self.into = out, into
        self._connection = connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self._connection.refuse or self._connection.over:
            reset(transport)
            self._connection.reset()
            return
        raw: socket.socket = transport.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.out.reads_from(transport)
        self.into.writes_to(transport)

    def data_received(self, data: bytes) -> None:
        self.out.feed(data)

    def eof_received(self) -> bool:
        self.out.feed_end(End.CLOSED)
        return True  # The other direction goes on.

    def pause_writing(self) -> None:
        self.into.sink_full(True)

    def resume_writing(self) -> None:
        self.into.sink_full(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.side_lost(self)
