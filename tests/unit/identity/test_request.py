"""A request for a certificate may come by way of others; they cannot make it their own."""

import time

import pytest
from identity_world import NODE_A, NODE_B, PASSPHRASE, Member, node, operator

from identity.authority import Authority
from identity.certificate import parse
from identity.keys import new_key, public_bytes
from identity.names import Identity
from identity.request import read_renewal, renewal_request
from multicloud.errors import McError

A = Identity.node("prod", NODE_A)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One for all tests here: none of them changes it."""
    return Authority.create(tmp_path_factory.mktemp("ca") / "prod", "prod", PASSPHRASE)


def refused(request: bytes, authority: Authority, now: float | None = None) -> McError:
    with pytest.raises(McError) as caught:
        read_renewal(request, A, authority.trust, now or time.time())
    return caught.value


def test_a_request_carries_its_key_and_who_asks(authority: Authority) -> None:
    asker, key = node(authority), new_key()
    request = renewal_request(key, asker.key, asker.certificate_pem)
    renewal = read_renewal(request, A, authority.trust, time.time())
    assert renewal.asker.identity == A
    assert public_bytes(renewal.key) == public_bytes(key.public_key())
    pem = authority.issue(A, "aws-a", ["node"], renewal.key, 90, time.time())
    issued = parse(pem).public_key()
    assert public_bytes(issued) == public_bytes(key.public_key())  # type: ignore[arg-type]


@pytest.mark.parametrize("member", [NODE_B, "operator"])
def test_another_member_cannot_ask_in_its_place(member: str, authority: Authority) -> None:
    thief = operator(authority) if member == "operator" else node(authority, NODE_B)
    request = renewal_request(new_key(), thief.key, thief.certificate_pem)
    error = refused(request, authority)
    assert error.reason == "UNTRUSTED"
    assert thief.identity.uri in error.message


def test_a_known_certificate_without_its_key_is_not_enough(authority: Authority) -> None:
    """Certificates are no secrets: every peer has seen this one."""
    victim, thief = node(authority), node(authority, NODE_B)
    request = renewal_request(new_key(), thief.key, victim.certificate_pem)
    assert "signatures on it are wrong" in refused(request, authority).message


def test_a_strangers_node_of_the_same_name_cannot_ask(
    authority: Authority, stranger: Authority
) -> None:
    asker: Member = node(stranger)
    request = renewal_request(new_key(), asker.key, asker.certificate_pem)
    assert refused(request, authority).reason == "UNTRUSTED"


def test_an_expired_node_cannot_ask(authority: Authority) -> None:
    asker = node(authority)
    request = renewal_request(new_key(), asker.key, asker.certificate_pem)
    assert refused(request, authority, time.time() + 91 * 86400).reason == "CERTIFICATE_EXPIRED"


@pytest.mark.parametrize("content", [b"", b"x", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"])
def test_what_is_no_request_is_a_typed_error(content: bytes, authority: Authority) -> None:
    assert refused(content, authority).reason == "UNTRUSTED"


def test_a_changed_request_is_refused(authority: Authority) -> None:
    asker = node(authority)
    request = renewal_request(new_key(), asker.key, asker.certificate_pem)
    lines = request.splitlines(keepends=True)
    body = bytearray(lines[-2])
    body[2] = ord("A") if body[2] != ord("A") else ord("B")  # Inside the signature.
    assert refused(b"".join([*lines[:-2], bytes(body), lines[-1]]), authority).reason == "UNTRUSTED"
