"""A cluster's authority and whoever it issues certificates to, good and bad."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from identity.authority import Authority
from identity.keys import key_pem, new_key
from identity.names import Identity
from identity.trust import ca_pem
from multicloud.channel import Credentials

CLUSTER = "test"
PASSPHRASE = "correct horse battery staple"


@dataclass
class People:
    folder: Path
    authority: Authority = field(init=False)

    def __post_init__(self) -> None:
        self.authority = Authority.create(self.folder, CLUSTER, PASSPHRASE)

    @property
    def ca(self) -> bytes:
        return ca_pem(self.authority.trust)

    def credentials(
        self,
        identity: Identity,
        roles: tuple[str, ...],
        *,
        days: float = 1,
        now_unix_s: float | None = None,
    ) -> Credentials:
        key = new_key()
        certificate = self.authority.issue(
            identity, identity.name, roles, key.public_key(), days, now_unix_s or time.time()
        )
        return Credentials(certificate, key_pem(key), self.ca)

    def operator(self, name: str, *roles: str) -> Credentials:
        return self.credentials(Identity(CLUSTER, "operator", name), roles)

    def node(self, node_id: str) -> Credentials:
        return self.credentials(Identity(CLUSTER, "node", node_id), ("node",))

    def odd(
        self,
        uris: Sequence[str],
        units: Sequence[str] = (),
        *,
        dns: Sequence[str] = (),
        valid_s: tuple[float, float] = (-60, 3600),
    ) -> Credentials:
        """A certificate of the right CA with a content that the authority refuses to issue."""
        ca_key, ca = self.authority._issuer()
        key = new_key()
        names = [x509.NameAttribute(NameOID.COMMON_NAME, "odd")]
        names += [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units]
        others = [x509.UniformResourceIdentifier(uri) for uri in uris]
        begin, end = (datetime.fromtimestamp(time.time() + at, UTC) for at in valid_s)
        built = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(names))
            .issuer_name(ca.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(
                x509.SubjectAlternativeName([*others, *(x509.DNSName(name) for name in dns)]),
                critical=False,
            )
            .sign(ca_key, hashes.SHA256())
        )
        return Credentials(built.public_bytes(Encoding.PEM), key_pem(key), self.ca)
