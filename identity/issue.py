"""Makes certificates: a CA's own, and those of nodes and operators. Reads no clock and no file."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from identity.keys import PrivateKey, PublicKey, new_key
from identity.names import ROLES, Identity
from multicloud.errors import McError

CA_DAYS = 3650
BACKDATE_S = 300  # Clocks of nodes may be behind by this much.
LABEL_CHARS_MAX = 64  # The limit of X.509 for a common name.


def new_ca(cluster: str, now_unix_s: float) -> tuple[PrivateKey, x509.Certificate]:
    """A CA of the cluster. Its subject is unique, so that two of one cluster never mix."""
    key = new_key()
    serial = x509.random_serial_number()
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, cluster),
            x509.NameAttribute(NameOID.COMMON_NAME, f"multicloud CA {serial:x}"[:22]),
        ]
    )
    begins = _time(now_unix_s - BACKDATE_S)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return key, builder.sign(key, hashes.SHA256())


def issue(
    ca_key: PrivateKey,
    ca: x509.Certificate,
    identity: Identity,
    label: str,
    roles: frozenset[str],
    public_key: PublicKey,
    days: float,
    now_unix_s: float,
    not_before_after_unix_s: int | None = None,
) -> x509.Certificate:
    """A certificate for both ends of TLS: one URI, the DNS name that diallers pin, no address.

    It begins after `not_before_after_unix_s`, the moment up to which the identity is revoked.
    """
    _check(identity, label, roles, days)
    begins_s = int(now_unix_s) - BACKDATE_S
    if not_before_after_unix_s is not None:
        begins_s = max(begins_s, not_before_after_unix_s + 1)
    ends = min(_time(now_unix_s) + timedelta(days=days), ca.not_valid_after_utc)
    if ends <= _time(begins_s):
        raise McError("FAILED", "the CA has expired", next="`mcctl cluster rotate-ca`")
    units = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, role) for role in sorted(roles)]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, label), *units])
    names = x509.SubjectAlternativeName(
        [x509.UniformResourceIdentifier(identity.uri), x509.DNSName(identity.dns_name)]
    )
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(ca.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_time(begins_s))
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(is_ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(names, critical=False)
        .add_extension(issuer_key, critical=False)
    )
    return builder.sign(ca_key, hashes.SHA256())


def _check(identity: Identity, label: str, roles: frozenset[str], days: float) -> None:
    unknown = sorted(roles - set(ROLES))
    if unknown:
        known = ", ".join(role for role in ROLES if role != "node")
        raise McError("USAGE", f"unknown role {unknown[0]!r}; roles are {known}")
    if identity.kind == "node" and roles != {"node"}:
        raise McError("USAGE", "a node has the role node and no other")
    if identity.kind == "operator" and (not roles or "node" in roles):
        raise McError("USAGE", "an operator needs at least one role, and never node")
    if not 1 <= len(label) <= LABEL_CHARS_MAX or not label.isprintable():
        raise McError("USAGE", f"a label has 1 to {LABEL_CHARS_MAX} printable characters")
    if not 0 < days <= CA_DAYS:
        raise McError("USAGE", f"a certificate lives more than 0 and at most {CA_DAYS} days")


def _usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _time(unix_s: float) -> datetime:
    return datetime.fromtimestamp(int(unix_s), UTC)
