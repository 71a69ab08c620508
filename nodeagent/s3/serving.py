"""HTTPS for the endpoint, in the node's main loop: bounded connections, none that only waits."""

import asyncio
import os
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from identity.store import NodeIdentity
from multicloud.errors import McError
from multicloud.files import read_public, read_secret

HEAD_BYTES_MAX = 16 << 10
KEEP_ALIVE_S = 30
BACKLOG = 128


def protocol(stall_s: float) -> type[H11Protocol]:
    """uvicorn's, but a client that neither asks nor takes anything for so long is cut off."""

    class Guarded(H11Protocol):
        _heard = 0
        _looked: tuple[int, int] = (-1, -1)
        _looking: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._looking = self.loop.call_later(stall_s, self._look)

        def data_received(self, data: bytes) -> None:
            self._heard += len(data)
            super().data_received(data)

        def connection_lost(self, exc: Exception | None) -> None:
            if self._looking:
                self._looking.cancel()
            super().connection_lost(exc)

        def _look(self) -> None:
            now = (self._heard, self.transport.get_write_buffer_size())
            answering = self.cycle is not None and not self.cycle.response_complete
            idle = self.timeout_keep_alive_task is not None
            its_turn = now[1] > 0 or (not answering and not idle)
            if its_turn and now == self._looked:
                self.transport.abort()
                return
            self._looked = now
            self._looking = self.loop.call_later(stall_s / 2, self._look)

    return Guarded


@dataclass(slots=True)
class Certificates:
    """The node's own certificate, or a configured one; renewed ones count from the next handshake
    on.
    """

    identity: NodeIdentity
    certificate: str  # Paths; empty: the node's own.
    key: str
    _context: ssl.SSLContext | None = None
    _generation: object = None

    def context(self) -> ssl.SSLContext:
        first = self._newest()

        def choose(socket_: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
            socket_.context = self._newest()

        first.sni_callback = choose
        return first

    def _newest(self) -> ssl.SSLContext:
        generation = self._generation_now()
        if self._context is None or generation != self._generation:
            self._context, self._generation = self._made(), generation
        return self._context

    def _generation_now(self) -> object:
        if not self.certificate:
            return self.identity.generation
        try:
            return Path(self.certificate).stat().st_mtime_ns, Path(self.key).stat().st_mtime_ns
        except OSError:
            return self._generation  # In the middle of being replaced: what was read still counts.

    def _made(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        if not self.certificate:
            pems = self.identity.certificate_pem, self.identity.key_pem
        else:
            pems = (
                read_public(Path(self.certificate)),
                read_secret(Path(self.key), group_may_read=True),
            )
        try:
            _load(context, *pems)
        except ssl.SSLError as error:
            said = f"{self.certificate} and {self.key} are no certificate and key: {error.reason}"
            raise McError("CONFIG_INVALID", said) from error
        return context


def _load(context: ssl.SSLContext, certificate_pem: bytes, key_pem: bytes) -> None:
    """By way of a private file: OpenSSL as Python has it takes nothing else."""
    fd, path = tempfile.mkstemp(prefix="mc-s3-")
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(key_pem + b"\n" + certificate_pem)
        context.load_cert_chain(path)
    finally:
        Path(path).unlink()


@dataclass(slots=True)
class Serving:
    address: str
    app: Any
    context: Callable[[], ssl.SSLContext]
    handshake_s: float
    connections_max: int
    stall_s: float
    state: ServerState = field(default_factory=ServerState)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        guarded = protocol(self.stall_s)
        config = uvicorn.Config(
            self.app,
            http=guarded,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            limit_concurrency=self.connections_max,
            timeout_keep_alive=KEEP_ALIVE_S,
            h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        )
        config.load()
        loop = asyncio.get_running_loop()

        def connected() -> H11Protocol:
            return guarded(config, self.state, {})

        context = await asyncio.to_thread(self.context)
        server = await loop.create_server(
            connected,
            sock=_bound(self.address),
            ssl=context,
            backlog=BACKLOG,
            ssl_handshake_timeout=self.handshake_s,
            ssl_shutdown_timeout=1.0,
        )
        try:
            yield
        finally:
            server.close()
            for connection in list(self.state.connections):
                connection.transport.abort()
            for task in list(self.state.tasks):
                task.cancel()
            if self.state.tasks:
                await asyncio.wait(self.state.tasks)


def _bound(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host.strip("[]"), int(port)))
    except OSError as error:
        made.close()
        raise McError("ADDRESS_IN_USE", f"listen.s3 cannot be {address}: {error}") from error
    return made
