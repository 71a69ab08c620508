"""Reads a certificate as the system means it: exactly one identity, its roles, its time.

What cannot be read as exactly one identity is refused; nothing is guessed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from identity.names import ROLES, Identity
from multicloud.errors import McError


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a certificate."""

    identity: Identity
    roles: frozenset[str]
    label: str  # The common name: what people call it.
    serial: str  # Hex
    not_before_unix_s: int
    not_after_unix_s: int


def parse(pem_or_der: bytes) -> x509.Certificate:
    """The certificate in PEM (the first one) or DER."""
    try:
        if pem_or_der.lstrip().startswith(b"-----"):
            return x509.load_pem_x509_certificate(pem_or_der)
        return x509.load_der_x509_certificate(pem_or_der)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise McError("NO_IDENTITY", f"the certificate cannot be read: {error}") from error


def to_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def to_der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def read_certificate(pem_or_der: bytes) -> Holder:
    """Who holds it. NO_IDENTITY unless that is exactly one node or operator."""
    return read_holder(parse(pem_or_der))


def read_holder(certificate: x509.Certificate) -> Holder:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        labels = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except x509.ExtensionNotFound as error:
        raise McError(
            "NO_IDENTITY", "the certificate names no identity: it has no alternative names"
        ) from error
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise McError("NO_IDENTITY", f"the certificate's names cannot be read: {error}") from error
    identity = _only_identity(list(names))
    roles = frozenset(str(unit.value) for unit in units) & frozenset(ROLES)
    _check_roles(identity, roles)
    return Holder(
        identity=identity,
        roles=roles,
        label=str(labels[0].value) if labels else identity.name,
        serial=f"{certificate.serial_number:x}",
        not_before_unix_s=int(certificate.not_valid_before_utc.timestamp()),
        not_after_unix_s=int(certificate.not_valid_after_utc.timestamp()),
    )


def _only_identity(names: Sequence[x509.GeneralName]) -> Identity:
    uris = [n.value for n in names if isinstance(n, x509.UniformResourceIdentifier)]
    if len(uris) != 1:
        found = ", ".join(uri[:100] for uri in uris[:4]) or "none"
        raise McError(
            "NO_IDENTITY", f"the certificate must name exactly one identity, found: {found}"
        )
    identity = Identity.parse(uris[0])
    # A second name of any kind would be a second identity by another door: diallers pin DNS names.
    allowed = (x509.UniformResourceIdentifier(identity.uri), x509.DNSName(identity.dns_name))
    for name in names:
        if name not in allowed:
            raise McError(
                "NO_IDENTITY",
                f"the certificate of {identity} also claims {str(name.value)[:100]!r}",
            )
    return identity


def _check_roles(identity: Identity, roles: frozenset[str]) -> None:
    if identity.kind == "node" and roles != {"node"}:
        raise McError(
            "NO_IDENTITY",
            f"the certificate of {identity} has the roles {_listed(roles)}; a node has only node",
        )
    if identity.kind == "operator" and "node" in roles:
        raise McError(
            "NO_IDENTITY", f"the certificate of {identity} has the role node; no operator has it"
        )


def _listed(roles: frozenset[str]) -> str:
    return ", ".join(sorted(roles)) or "none"


def rfc3339(unix_s: float) -> str:
    """For people: 2026-11-20T13:47:35Z."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def check_time(holder: Holder, now_unix_s: float) -> None:
    """CERTIFICATE_EXPIRED when it is not the certificate's time."""
    whose = f"the certificate of {holder.identity} ({holder.label})"
    if now_unix_s > holder.not_after_unix_s:
        raise McError(
            "CERTIFICATE_EXPIRED", f"{whose} has expired at {rfc3339(holder.not_after_unix_s)}"
        )
    if now_unix_s < holder.not_before_unix_s:
        begins, now = rfc3339(holder.not_before_unix_s), rfc3339(now_unix_s)
        raise McError(
            "CERTIFICATE_EXPIRED",
            f"{whose} is not valid before {begins}, and the clock here says {now}",
            next="set the clock right, or issue a new certificate",
        )
