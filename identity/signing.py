"""The exact bytes that a CA signs, and their signatures.

Bytes are built field by field, each with its length, after a name of their purpose:
no two statements share them, and no other encoding of the same message changes them.
"""

from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from identity.keys import PrivateKey, PublicKey
from multicloud.v1 import peer_pb2

PURPOSE_TRUST = "multicloud.v1 trust bundle"
PURPOSE_REVOCATION = "multicloud.v1 revocation"

Field = str | int | bytes


def canonical(purpose: str, fields: Iterable[Field]) -> bytes:
    """The purpose and the fields, each as kind, length (8 bytes, big-endian) and content."""
    parts: list[bytes] = []
    for field in (purpose, *fields):
        kind, content = _plain(field)
        parts += [kind, len(content).to_bytes(8, "big"), content]
    return b"".join(parts)


def _plain(field: Field) -> tuple[bytes, bytes]:
    match field:
        case str():
            return b"s", field.encode()
        case int():
            return b"i", field.to_bytes(9, "big", signed=True)  # Holds uint64 and int64.
        case _:
            return b"b", field


def trust_bytes(trust: peer_pb2.TrustBundle) -> bytes:
    return canonical(PURPOSE_TRUST, (trust.cluster, trust.version, *trust.ca_certificates))


def revocation_bytes(revocation: peer_pb2.Revocation) -> bytes:
    r = revocation
    return canonical(PURPOSE_REVOCATION, (r.identity, r.serial, r.revoked_unix_s, r.reason))


def sign(key: PrivateKey, content: bytes) -> bytes:
    return key.sign(content, ec.ECDSA(hashes.SHA256()))


def is_signed_by(certificate: x509.Certificate, content: bytes, signature: bytes) -> bool:
    key = certificate.public_key()
    if not isinstance(key, PublicKey):
        return False
    try:
        key.verify(signature, content, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
