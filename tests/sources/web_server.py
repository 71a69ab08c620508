"""A real web server with TLS, whose files, manners and faults the tests choose."""

import asyncio
import datetime
import ipaddress
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.nodes import free_ports

MODIFIED = "Tue, 20 Oct 2026 10:00:00 GMT"


@dataclass
class File:
    data: bytes
    etag: str = '"1"'
    ranges: bool = True
    lies: int = 0  # So many bytes more than there are.
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    stops_after: int = -1  # Then it says nothing any more.
    gate: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Server:
    port: int
    ca_file: Path
    files: dict[str, File] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)  # Method, path, range.

    def url(self, path: str = "", host: str = "localhost") -> str:
        return f"https://{host}:{self.port}{path}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path, request.headers.get("Range", "")))
        file = self.files.get(request.path_qs)
        if file is None:
            return web.Response(status=404)
        if file.status:
            return web.Response(status=file.status, headers=file.headers)
        condition = request.headers.get("If-Match")
        if condition and condition != file.etag:
            return web.Response(status=412)
        begin, end, status = 0, len(file.data), 200
        headers = {"Last-Modified": MODIFIED, **file.headers}
        if file.etag:
            headers["ETag"] = file.etag
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
        if wanted and file.ranges:
            begin, end, status = int(wanted[1]), min(end, int(wanted[2]) + 1), 206
            if begin >= len(file.data):
                return web.Response(status=416)
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(file.data) + file.lies}"
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = end - begin + (file.lies if status == 200 else 0)
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        data = file.data[begin:end]
        if 0 <= file.stops_after < len(data):
            await response.write(data[: file.stops_after])
            await file.gate.wait()
            return response
        if data:
            await response.write(data)
        if file.lies > 0 and status == 200 and request.transport is not None:
            request.transport.close()
        return response


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Server]:
    context, ca_file = _tls(folder)
    server = Server(free_ports(1)[0], ca_file)
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", server.port, ssl_context=context).start()
        yield server
    finally:
        for file in server.files.values():
            file.gate.set()
        await runner.cleanup()


def _tls(folder: Path) -> tuple[ssl.SSLContext, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    ca_file, key_file = folder / "server.pem", folder / "server.key"
    ca_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file, key_file)
    return context, ca_file
