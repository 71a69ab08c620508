"""A small CA for tests of signed heads; it also issues what a real one never would."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from identity.certificate import to_der
from identity.chain import Point
from identity.heads import sign_head
from identity.issue import new_ca
from identity.keys import PrivateKey, key_pem, new_key
from multicloud.v1.peer_pb2 import AuditHead, TrustBundle

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NODE = "00000000000000aa"
END = Point(7, "ab" * 32)


@dataclass(frozen=True)
class Signer:
    certificate: x509.Certificate
    key: PrivateKey

    def head(self, node: str = NODE, at: datetime = NOW, end: Point = END) -> AuditHead:
        unix_ms = int(at.timestamp() * 1000)
        return sign_head(node, end, unix_ms, to_der(self.certificate), key_pem(self.key))


def authority() -> Signer:
    key, certificate = new_ca("prod", NOW.timestamp() - 86_400 * 30)
    return Signer(certificate, key)


def trust_of(*cas: Signer) -> TrustBundle:
    ders = [to_der(ca.certificate) for ca in cas]
    return TrustBundle(cluster="prod", version=1, ca_certificates=ders)


def issue(uris: list[str], issuer: Signer | None, days: int = 90, role: str = "node") -> Signer:
    """Any names, by anyone; None: self-signed."""
    key = new_key()
    attributes = [(NameOID.COMMON_NAME, "n"), (NameOID.ORGANIZATIONAL_UNIT_NAME, role)]
    subject = x509.Name([x509.NameAttribute(*pair) for pair in attributes])
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
