"""Signed heads: only the node itself, certified by a CA that counts, can sign one."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from identity.chain import Point
from identity.heads import sign_head, verify_head
from multicloud.errors import McError
from multicloud.v1.peer_pb2 import AuditHead

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NODE = "00000000000000aa"


@dataclass(frozen=True)
class Signer:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def key_pem(self) -> bytes:
        pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(pem, form, serialization.NoEncryption())

    def head(self, node: str = NODE, at: datetime = NOW) -> AuditHead:
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        end = Point(7, "ab" * 32)
        return sign_head(node, end, int(at.timestamp() * 1000), der, self.key_pem)


def issue(uris: list[str], issuer: Signer | None = None, days: int = 90) -> Signer:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca" if not issuer else "node")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=days))
    )
    if uris:
        names = [x509.UniformResourceIdentifier(uri) for uri in uris]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return Signer(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


CA = issue([])
URI = f"spiffe://prod/node/{NODE}"


def check(head: AuditHead, ca: Signer = CA) -> None:
    verify_head(head, [issue([]).certificate, ca.certificate], "prod")


def test_a_head_of_the_node_itself_counts() -> None:
    check(issue([URI], CA).head())


def test_a_head_outlives_its_certificate() -> None:
    check(issue([URI], CA, days=1).head(at=NOW + timedelta(hours=23)))


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (lambda: issue([URI], issue([])).head(), "no CA of the trust bundle"),
        (lambda: issue([URI]).head(), "no CA of the trust bundle"),
        (lambda: issue([URI], CA).head(node="00000000000000bb"), "belongs to"),
        (lambda: issue(["spiffe://other/node/" + NODE], CA).head(), "belongs to"),
        (lambda: issue(["spiffe://prod/operator/" + NODE], CA).head(), "belongs to"),
        (lambda: issue([URI, "spiffe://prod/node/other"], CA).head(), "belongs to"),
        (lambda: issue([], CA).head(), "nobody"),
        (lambda: issue([URI], CA, days=1).head(at=NOW + timedelta(days=2)), "not valid"),
        (lambda: issue([URI], CA).head(at=NOW - timedelta(days=2)), "not valid"),
    ],
)
def test_a_head_by_anyone_else_is_refused(head: Callable[[], AuditHead], why: str) -> None:
    with pytest.raises(McError, match=why) as refused:
        check(head())
    assert refused.value.reason == "UNTRUSTED"


@pytest.mark.parametrize(
    "change",
    [
        {"sequence": 8},
        {"hash": b"\xcd" * 32},
        {"hash": b""},
        {"unix_ms": 1 << 62},
        {"certificate": b"\x30\x03\x02\x01"},
        {"signature": b""},
        {"signature": b"\x30\x06\x02\x01\x01\x02\x01\x01"},
    ],
)
def test_a_head_that_was_changed_is_refused(change: dict[str, object]) -> None:
    head = issue([URI], CA).head()
    for name, value in change.items():
        setattr(head, name, value)
    with pytest.raises(McError) as refused:
        check(head)
    assert refused.value.reason == "UNTRUSTED"
