"""What networks and clouds do on bad days, between a driver and a real server."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[^\r]*", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect:[^\r]*", re.IGNORECASE)
_MADE = "content-type: application/xml\r\nconnection: close"


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one request; the next one of the list meets the next."""

    method: str = ""  # Others pass by it.
    status: int = 0  # Answered here, and the server never hears of it.
    headers: str = ""
    body: str = ""
    lost: bool = False  # The server does it, and nobody hears the answer.
    keeps: int | None = None  # So many bytes of the answer's body come, then the line is cut.
    shortens: int | None = None  # So many come, and the answer says that it is all.
    stalls: bool = False  # The head comes, then nothing.
    spoils_request: bool = False  # A bit of what is sent is flipped,
    spoils_answer: bool = False  # or of what comes back.


@dataclass
class FaultProxy:
    url: str
    faults: deque[Fault] = field(default_factory=deque)
    asked: list[str] = field(default_factory=list)  # "GET /path"
    gone: bool = False  # Nobody gets further than to the door.

    def next(self, request: str) -> Fault:
        self.asked.append(request)
        if self.faults and request.startswith(self.faults[0].method):
            return self.faults.popleft()
        return Fault()


@asynccontextmanager
async def fault_proxy(upstream: str) -> AsyncIterator[FaultProxy]:
    """In front of the server at that url, until the block ends."""
    to = urlsplit(upstream)
    open_ones: set[asyncio.StreamWriter] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if proxy.gone:
            return writer.transport.abort()
        open_ones.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            await _one(reader, writer, to.hostname or "", to.port or 80, proxy.next)
        open_ones.discard(writer)
        return writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    proxy = FaultProxy(f"http://127.0.0.1:{port}{to.path}")
    try:
        yield proxy
    finally:
        server.close()
        for writer in open_ones:
            writer.transport.abort()


async def _one(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    host: str,
    port: int,
    judge: Callable[[str], Fault],
) -> None:
    head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
    if _EXPECT.search(head):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        head = _EXPECT.sub(b"", head)
    length = _LENGTH.search(head)
    body = await reader.readexactly(int(length.group(1))) if length else b""
    fault = judge(head.split(b" HTTP", 1)[0].decode())
    if fault.status:
        size = f"content-length: {len(fault.body)}"
        more = f"\r\n{fault.headers}" if fault.headers else ""
        told = f"HTTP/1.1 {fault.status} Fault\r\n{_MADE}\r\n{size}{more}\r\n\r\n{fault.body}"
        writer.write(told.encode())
        return await writer.drain()
    if fault.spoils_request:
        body = _spoilt(body)
    answer = await _passed_on(host, port, _closing(head) + b"\r\n\r\n" + body)
    if fault.lost:
        return writer.transport.abort()
    top, _, rest = answer.partition(b"\r\n\r\n")
    top = _closing(top)
    if fault.shortens is not None:
        rest = rest[: fault.shortens]
        top = _LENGTH.sub(b"\r\nContent-Length: %d" % len(rest), top)
    if fault.spoils_answer:
        rest = _spoilt(rest)
    if fault.keeps is not None:
        rest = rest[: fault.keeps]
    writer.write(top + b"\r\n\r\n" + (b"" if fault.stalls else rest))
    await writer.drain()
    if fault.stalls:
        await reader.read()  # Until the other side has had enough.
    return None


async def _passed_on(host: str, port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()


def _closing(head: bytes) -> bytes:
    return _CLOSE.sub(b"", head) + b"\r\nConnection: close"


def _spoilt(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:] if data else data
