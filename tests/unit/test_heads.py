"""Signed heads: only the node itself, certified by a CA that counts, can sign one."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from signing import NODE, NOW, Signer, issue

from identity.heads import verify_head
from multicloud.errors import McError
from multicloud.v1.peer_pb2 import AuditHead

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
