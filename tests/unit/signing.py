"""A small CA for tests of signed heads."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from identity.chain import Point
from identity.heads import sign_head
from multicloud.v1.peer_pb2 import AuditHead

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NODE = "00000000000000aa"
END = Point(7, "ab" * 32)


@dataclass(frozen=True)
class Signer:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def key_pem(self) -> bytes:
        pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(pem, form, serialization.NoEncryption())

    def head(self, node: str = NODE, at: datetime = NOW, end: Point = END) -> AuditHead:
        der = self.certificate.public_bytes(serialization.Encoding.DER)
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
