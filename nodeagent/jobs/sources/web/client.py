"""Requests to web servers: each to an address that was looked at, over as many redirects as are
bearable, each of them looked at again. Only this file knows aiohttp.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from multicloud.errors import McError
from nodeagent.jobs.sources.web.addresses import Allowed, meant

if TYPE_CHECKING:
    import aiohttp

REDIRECTS_MAX = 5
HEADER_BYTES_MAX = 16 << 10
CONNECT_S = 10.0
REST_S_MAX = 5.0  # Waited for here; longer ones by the job.
AT_ONCE_MAX, AT_ONE_HOST_MAX = 64, 16
BYTES_PER_S_MIN = 32 << 10  # Of a body, on the whole; slower ones are given up.
AGENT = "multicloud"
MOVED = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Limits:
    allowed: Allowed
    plain: bool  # Whether http:// may be asked at all.
    ca_file: Path | None
    silent_s: float
    object_bytes_max: int


@dataclass(slots=True)
class WebClient:
    limits: Limits
    _session: "aiohttp.ClientSession | None" = None
    _rests: dict[str, float] = field(default_factory=dict)  # Until when a server wants to be alone.

    @asynccontextmanager
    async def asked(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        size_bytes: int = 0,
        *,
        body: bytes | None = None,
        redirects_max: int = REDIRECTS_MAX,
    ) -> AsyncIterator["aiohttp.ClientResponse"]:
        """The answer of whoever answers in the end. `size_bytes` that are expected of its body.
        With no redirects the first answer is it, whatever it is.
        """
        import aiohttp

        limits, session = self.limits, self._opened()
        await self._rested(url)
        total_s = CONNECT_S + limits.silent_s + size_bytes / BYTES_PER_S_MIN
        timeout = aiohttp.ClientTimeout(
            total=total_s, sock_connect=CONNECT_S, sock_read=limits.silent_s
        )
        try:
            for _ in range(redirects_max + 1):
                demand_sound(url, limits)
                async with session.request(
                    method,
                    url,
                    headers=headers,
                    data=body,
                    allow_redirects=False,
                    timeout=timeout,
                ) as answer:
                    if answer.status not in MOVED or not redirects_max:
                        yield answer
                        return
                    url = _next(url, answer.headers.get("Location", ""))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _named(url, error) from error
        raise McError("NOT_ALLOWED", f"{shown(url)}: more than {REDIRECTS_MAX} redirects")

    def rest(self, url: str, pause_s: float) -> None:
        """Nothing is asked of that server for so long: it said so."""
        now_s = asyncio.get_running_loop().time()
        self._rests = {host: end for host, end in self._rests.items() if end > now_s}
        self._rests[urlsplit(url).netloc] = now_s + pause_s

    async def _rested(self, url: str) -> None:
        left_s = self._rests.get(urlsplit(url).netloc, 0.0) - asyncio.get_running_loop().time()
        if left_s > REST_S_MAX:
            said = f"{shown(url)}: its server wants to be left alone"
            raise McError("TOO_BUSY", said, retry_after_s=left_s)
        await asyncio.sleep(max(0.0, left_s))

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _opened(self) -> "aiohttp.ClientSession":
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=_resolver(self.limits.allowed),
                    use_dns_cache=False,  # What was looked at is what is dialled.
                    limit=AT_ONCE_MAX,
                    limit_per_host=AT_ONE_HOST_MAX,
                    ssl=_tls(self.limits.ca_file),
                ),
                headers={"User-Agent": AGENT, "Accept-Encoding": "identity"},
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,  # A proxy would dial for us whatever it likes.
                max_line_size=HEADER_BYTES_MAX,
                max_field_size=HEADER_BYTES_MAX,
            )
        return self._session


def demand_sound(url: str, limits: Limits) -> None:
    """NOT_ALLOWED for what no node asks. What looks like an address is looked at here: nobody would
    resolve it, and systems read "127.1" and "2130706433" as addresses, too.
    """
    parts = urlsplit(url)
    if parts.scheme == "http" and not limits.plain:
        said = f"{shown(url)} would be read in the clear"
        node = limits.allowed.node
        raise McError("NOT_ALLOWED", said, next=f"use https, or [web] plain = true on {node}")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise McError("NOT_ALLOWED", f"{shown(url)} is no address of a web server")
    host = parts.hostname
    if ":" in host or host.replace(".", "").isdigit():
        try:
            meant(host)
        except ValueError as error:
            raise McError("NOT_ALLOWED", f"{shown(url)}: {error}") from error
        limits.allowed.demand(host, host)


def shown(url: str) -> str:
    """Without what may be a secret: signatures stand in the query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"[:300]


def _next(url: str, location: str) -> str:
    if not location:
        raise McError("UNREACHABLE", f"{shown(url)} sends on, and does not say where to")
    there = urljoin(url, location)
    if urlsplit(url).scheme == "https" and urlsplit(there).scheme != "https":
        said = f"{shown(url)} sends on to {shown(there)}, out of TLS"
        raise McError("NOT_ALLOWED", said, next="name the address that has the data")
    return there


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def _resolver(allowed: Allowed) -> Any:
    import aiohttp

    class Looking(aiohttp.abc.AbstractResolver):
        """The connection goes to what it answers, and to nothing else: no name is asked twice."""

        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list["aiohttp.abc.ResolveResult"]:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
            for *_, place in found:
                allowed.demand(host, str(place[0]))
            return [
                aiohttp.abc.ResolveResult(
                    hostname=host,
                    host=str(place[0]),
                    port=port,
                    family=kind,
                    proto=proto,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
                for kind, _, proto, _, place in found
            ]

        async def close(self) -> None: ...

    return Looking()


def _named(url: str, error: Exception) -> McError:
    import aiohttp

    if isinstance(error, aiohttp.ClientPayloadError):
        return McError("DAMAGE", f"{shown(url)}: the answer ended too early")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return McError("UNREACHABLE", f"{shown(url)}: its certificate is not trusted here")
    if isinstance(error, TimeoutError):
        return McError("STALLED", f"{shown(url)} is too slow, or silent")
    return McError("UNREACHABLE", f"{shown(url)}: {error or type(error).__name__}")
