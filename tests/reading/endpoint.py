"""A node with the S3 endpoint beside three others, its certificate, and keys for it."""

import ipaddress
import ssl
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from identity.keys import key_pem, new_key
from multicloud.v1 import access_pb2
from nodeagent.s3.keys import KEYS, AccessKeys
from tests.datasets.shelf import Shelf
from tests.support.meeting import CALM
from tests.support.nodes import Running, free_ports, make_place, running, until
from tests.support.people import People

DAY_MS = 86_400_000


@dataclass
class Endpoint:
    node: Running
    url: str
    ca: Path

    @property
    def keys(self) -> AccessKeys:
        return AccessKeys(self.node.node.council.part.council, self.node.node.identity.cluster_key)

    async def key(self, name: str = "ann", role: str = "reader", datasets: str = "*") -> list[str]:
        """Id and secret of a new one, once this node knows it."""
        end_ms = int(time.time() * 1000) + DAY_MS
        wanted = access_pb2.IssueKeyRequest(
            name=name, role=role, datasets=datasets, end_unix_ms=end_ms
        )
        key, secret = await self.keys.issue(wanted)
        await until(lambda: self.node.node.council.part.council.list(KEYS + key.id))
        return [key.id, secret]

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))


async def endpoint(
    stack: AsyncExitStack, people: People, trio: Shelf, folder: Path, **s3: object
) -> Endpoint:
    ca, certificate, key = _certificates(folder)
    ports = free_ports(4)
    api, watch, http, own = (f"127.0.0.1:{port}" for port in ports)
    sections = {
        "listen": {"api": api, "watch": watch, "http": http, "s3": own},
        "join": {"peers": [node.address for node in trio.nodes], "greet_every_s": 0.2},
        "watch": CALM,
        "s3": {"certificate": str(certificate), "key": str(key), **s3},
    }
    place = make_place(people, folder, 4, sections)
    node = await stack.enter_async_context(running(place))
    await until(lambda: node.node.jobs.datasets.council.list("version/"), 30)
    return Endpoint(node, f"https://localhost:{ports[3]}", ca)


def _certificates(folder: Path) -> tuple[Path, Path, Path]:
    ca_key, server_key = new_key(), new_key()
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA of the endpoint")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    ca = _signed(ca_name, ca_key, ca_name, ca_key, x509.BasicConstraints(True, 0))
    names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    server = _signed(name, server_key, ca_name, ca_key, names)
    paths = folder / "s3-ca.pem", folder / "s3.crt", folder / "s3.key"
    for path, content in zip(paths, (ca, server, key_pem(server_key)), strict=True):
        path.write_bytes(content)
        path.chmod(0o600)
    return paths


def _signed(
    name: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    by: x509.Name,
    by_key: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> bytes:
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        .sign(by_key, hashes.SHA256())
    )
    return built.public_bytes(Encoding.PEM)
