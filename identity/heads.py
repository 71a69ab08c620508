"""Signed heads of audit logs: a node leaves them with its peers, so no log can be cut unseen."""

from collections.abc import Sequence

from identity.certificate import parse
from identity.chain import Broken, Finding, Point, Verified, compare
from identity.keys import read_key
from identity.names import Identity, is_node_id
from identity.signing import canonical, is_signed_by, sign
from identity.trust import verify_certificate
from multicloud.errors import McError
from multicloud.v1 import peer_pb2

PURPOSE_HEAD = "multicloud.v1 audit head"
_HASH_BYTES = 32
_UNIX_MS_MAX = 253_402_300_799_000  # The end of the year 9999, where calendars end.


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
    head.signature = sign(read_key(key_pem), _signed(head))
    return head


def verify_head(head: peer_pb2.AuditHead, trust: peer_pb2.TrustBundle) -> None:
    """UNTRUSTED unless a certificate of this very node, by a CA that counts, signed the head.

    The certificate counts if it was valid at the head's own time: heads outlive certificates.
    """
    if not is_node_id(head.node):
        raise McError("UNTRUSTED", "an audit head names no node: 16 hex digits are expected")
    if len(head.hash) != _HASH_BYTES:
        raise _untrusted(head, f"its hash is not {_HASH_BYTES} bytes")
    if not 0 <= head.unix_ms <= _UNIX_MS_MAX:
        raise _untrusted(head, "its time is none")
    try:
        holder = verify_certificate(head.certificate, trust, head.unix_ms / 1000)
    except McError as error:  # Whatever is wrong with it: this head counts for nothing.
        raise _untrusted(head, error.message) from error
    if holder.identity != Identity.node(trust.cluster, head.node):
        raise _untrusted(head, f"its certificate belongs to {holder.identity}")
    if not is_signed_by(parse(head.certificate), _signed(head), head.signature):
        raise _untrusted(head, "its signature does not fit")


def compare_heads(log: Verified | Broken, heads: Sequence[peer_pb2.AuditHead]) -> Finding:
    """A node's log against verified heads of it."""
    by_sequence: dict[int, set[str]] = {}
    for head in heads:
        by_sequence.setdefault(head.sequence, set()).add(head.hash.hex())
    by_sequence.pop(0, None)  # An empty log: nothing to compare.
    return compare(log, by_sequence)


def _signed(head: peer_pb2.AuditHead) -> bytes:
    return canonical(PURPOSE_HEAD, (head.node, head.sequence, head.hash, head.unix_ms))


def _untrusted(head: peer_pb2.AuditHead, why: str) -> McError:
    what = f"the audit head {head.sequence} of node {head.node} is refused: {why}"
    return McError("UNTRUSTED", what)
