"""Signed heads: only the node itself, certified by a CA that counts, can sign one."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from identity.heads import verify_head
from multicloud.errors import McError
from multicloud.v1.peer_pb2 import AuditHead
from tests.support.signing import NODE, NOW, authority, issue, trust_of

CA = authority()
TRUST = trust_of(authority(), CA)
URI = f"spiffe://prod/node/{NODE}"


def test_a_head_of_the_node_itself_counts() -> None:
    verify_head(issue([URI], CA).head(), TRUST)


def test_a_head_outlives_its_certificate() -> None:
    verify_head(issue([URI], CA, days=1).head(at=NOW + timedelta(hours=23)), TRUST)


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (lambda: issue([URI], authority()).head(), "not from a CA"),
        (lambda: issue([URI], None).head(), "not from a CA"),
        (lambda: issue([URI], issue([URI], CA)).head(), "not from a CA"),
        (lambda: issue([URI], CA).head(node="00000000000000bb"), "belongs to"),
        (lambda: issue([URI], CA).head(node="../../etc/passwd"), "names no node"),
        (lambda: issue([f"spiffe://other/node/{NODE}"], CA).head(), "not from a CA"),
        (lambda: issue([f"spiffe://prod/operator/{NODE}"], CA, role="admin").head(), "belongs to"),
        (lambda: issue([URI, "spiffe://prod/node/other"], CA).head(), "exactly one identity"),
        (lambda: issue([], CA).head(), "no identity"),
        (lambda: issue([URI], CA, days=1).head(at=NOW + timedelta(days=2)), "expired"),
        (lambda: issue([URI], CA).head(at=NOW - timedelta(days=2)), "not valid before"),
    ],
)
def test_a_head_by_anyone_else_is_refused(head: Callable[[], AuditHead], why: str) -> None:
    with pytest.raises(McError, match=why) as refused:
        verify_head(head(), TRUST)
    assert refused.value.reason == "UNTRUSTED"


@pytest.mark.parametrize(
    "change",
    [
        {"sequence": 8},
        {"hash": b"\xcd" * 32},
        {"hash": b""},
        {"unix_ms": int(NOW.timestamp() * 1000) + 1},
        {"unix_ms": (1 << 63) - 1},
        {"unix_ms": -(1 << 63)},
        {"certificate": b""},
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
        verify_head(head, TRUST)
    assert refused.value.reason == "UNTRUSTED"
