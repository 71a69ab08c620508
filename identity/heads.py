"""Signed heads of audit logs: a node leaves them with its peers, so no log can be cut unseen."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from identity.chain import Broken, Finding, Point, Verified, compare
from multicloud.errors import McError
from multicloud.v1 import peer_pb2

_HASH_BYTES = 32


def sign_head(
    node: str, end: Point, unix_ms: int, certificate_der: bytes, key_pem: bytes
) -> peer_pb2.AuditHead:
    """The end of `node`'s log, signed with the key of its certificate."""
    head = peer_pb2.AuditHead(
        node=node,
        sequence=end.sequence,
        hash=bytes.fromhex(end.hash),
        unix_ms=unix_ms,
        certificate=certificate_der,
    )
    key = load_pem_private_key(key_pem, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # The CA issues no others.
    head.signature = key.sign(_signed(head), ec.ECDSA(hashes.SHA256()))
    return head


def verify_head(head: peer_pb2.AuditHead, cas: Iterable[x509.Certificate], cluster: str) -> None:
    """UNTRUSTED unless a certificate of this very node, by one of the CAs, signed the head.

    The certificate counts if it was valid at the head's own time: heads outlive certificates.
    """
    if len(head.hash) != _HASH_BYTES:
        raise _untrusted(head, "its hash is not 32 bytes")
    try:
        certificate = x509.load_der_x509_certificate(head.certificate)
        identities = _identities(certificate)
        key = certificate.public_key()
    except ValueError as error:  # Whatever is wrong with bytes from outside.
        raise _untrusted(head, "its certificate cannot be read") from error
    if identities != [f"spiffe://{cluster}/node/{head.node}"]:
        raise _untrusted(head, f"its certificate belongs to {identities or 'nobody'}")
    if not any(_issued_by(certificate, ca) for ca in cas):
        raise _untrusted(head, "no CA of the trust bundle issued its certificate")
    if not _valid_at(certificate, head.unix_ms):
        raise _untrusted(head, "its certificate was not valid at its time")
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise _untrusted(head, "its key is of the wrong kind")
    try:
        key.verify(head.signature, _signed(head), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise _untrusted(head, "its signature does not fit") from error


def compare_heads(log: Verified | Broken, heads: Sequence[peer_pb2.AuditHead]) -> Finding:
    """A node's log against verified heads of it."""
    by_sequence: dict[int, set[str]] = {}
    for head in heads:
        by_sequence.setdefault(head.sequence, set()).add(head.hash.hex())
    by_sequence.pop(0, None)  # An empty log: nothing to compare.
    return compare(log, by_sequence)


def _signed(head: peer_pb2.AuditHead) -> bytes:
    """What is signed. Its fields have fixed forms, so no two heads share these bytes."""
    assert len(head.hash) == _HASH_BYTES
    facts = (head.node, str(head.sequence), head.hash.hex(), str(head.unix_ms))
    return "\n".join(("multicloud audit head v1", *facts)).encode()


def _identities(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def _issued_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _valid_at(certificate: x509.Certificate, unix_ms: int) -> bool:
    try:
        then = datetime.fromtimestamp(unix_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return False
    return certificate.not_valid_before_utc <= then <= certificate.not_valid_after_utc


def _untrusted(head: peer_pb2.AuditHead, why: str) -> McError:
    node = re.sub(r"[^A-Za-z0-9._-]", "?", head.node[:64])
    return McError("UNTRUSTED", f"the audit head {head.sequence} of node {node} is refused: {why}")
