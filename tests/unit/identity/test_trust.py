"""How one trust bundle follows another, and what nobody can do to it."""

import time

import pytest
from identity_world import PASSPHRASE, node, operator

from identity.authority import Authority
from identity.certificate import parse, to_der
from identity.issue import new_ca
from identity.names import Identity
from identity.records import read_trust_json, trust_json
from identity.signing import sign, trust_bytes
from identity.trust import ca_pem, cas, check_trust, verify_certificate, verify_trust
from multicloud.errors import McError
from multicloud.v1 import peer_pb2


def refused(new: peer_pb2.TrustBundle, current: peer_pb2.TrustBundle) -> str:
    with pytest.raises(McError) as caught:
        verify_trust(new, current)
    assert caught.value.reason == "UNTRUSTED"
    return caught.value.message


def test_a_rotation_is_a_chain_of_bundles(authority: Authority) -> None:
    first = authority.trust
    second = authority.rotate()
    third = authority.retire()
    verify_trust(second, first)
    verify_trust(third, second)
    assert [len(t.ca_certificates) for t in (first, second, third)] == [1, 2, 1]
    assert third.ca_certificates[0] == second.ca_certificates[1]
    verify_trust(third, first)  # A node that was away in between follows too.


def test_there_is_no_way_back(authority: Authority) -> None:
    first, second = authority.trust, authority.rotate()
    assert "no way back" in refused(first, second)
    assert "no way back" in refused(second, second)


def test_a_strangers_bundle_is_refused(authority: Authority, stranger: Authority) -> None:
    assert "not signed" in refused(stranger.rotate(), authority.trust)


def test_nobody_slips_a_ca_in(authority: Authority) -> None:
    current = authority.trust
    forged = peer_pb2.TrustBundle()
    forged.CopyFrom(authority.rotate())
    _, intruder = new_ca("prod", time.time())
    forged.ca_certificates.append(to_der(intruder))
    assert "not signed" in refused(forged, current)


def test_the_new_ca_cannot_vouch_for_itself(authority: Authority) -> None:
    key, certificate = new_ca("prod", time.time())
    forged = peer_pb2.TrustBundle(cluster="prod", version=9, ca_certificates=[to_der(certificate)])
    forged.signature = sign(key, trust_bytes(forged))
    assert "not signed" in refused(forged, authority.trust)


def test_another_cluster_is_refused(authority: Authority) -> None:
    forged = peer_pb2.TrustBundle()
    forged.CopyFrom(authority.rotate())
    forged.cluster = "test"
    assert "cluster test" in refused(forged, authority.trust)


def test_a_member_is_no_ca(authority: Authority) -> None:
    forged = peer_pb2.TrustBundle(
        cluster="prod",
        version=2,
        ca_certificates=[to_der(parse(node(authority).certificate_pem))],
    )
    assert "no CA" in refused(forged, authority.trust)


@pytest.mark.parametrize("count", [0, 9])
def test_a_bundle_has_few_cas_and_at_least_one(count: int, authority: Authority) -> None:
    der = authority.trust.ca_certificates[0]
    with pytest.raises(McError, match="needs 1 to 8"):
        check_trust(peer_pb2.TrustBundle(cluster="prod", version=1, ca_certificates=[der] * count))


def test_what_is_written_is_read_back(authority: Authority) -> None:
    authority.rotate()
    assert read_trust_json(trust_json(authority.trust)) == authority.trust
    assert ca_pem(authority.trust).count(b"BEGIN CERTIFICATE") == 2


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format": 2}', b"[" * 100_000])
def test_what_is_no_bundle_is_a_typed_error(content: bytes) -> None:
    with pytest.raises(McError) as caught:
        read_trust_json(content)
    assert caught.value.reason == "UNTRUSTED"


def test_a_certificate_counts_by_ca_cluster_and_time(
    authority: Authority, stranger: Authority
) -> None:
    now = time.time()
    good = operator(authority, now=now).certificate_pem
    assert verify_certificate(good, authority.trust, now).identity.name == "ada"
    with pytest.raises(McError) as caught:
        verify_certificate(good, stranger.trust, now)
    assert caught.value.reason == "UNTRUSTED"
    elsewhere = peer_pb2.TrustBundle()
    elsewhere.CopyFrom(authority.trust)
    elsewhere.cluster = "test"
    with pytest.raises(McError, match="cluster test"):
        verify_certificate(good, elsewhere, now)
    for wrong in (now - 3600, now + 31 * 86400):
        with pytest.raises(McError) as caught:
            verify_certificate(good, authority.trust, wrong)
        assert caught.value.reason == "CERTIFICATE_EXPIRED"


def test_new_certificates_come_from_the_new_ca(authority: Authority, tmp_path) -> None:  # type: ignore[no-untyped-def]
    authority.rotate()
    again = Authority.open(authority.folder, PASSPHRASE)
    newest = cas(again.trust)[-1]
    parse(node(again).certificate_pem).verify_directly_issued_by(newest)
    again.retire()
    third = Authority.open(authority.folder, PASSPHRASE)
    assert cas(third.trust) == [newest]
    parse(node(third).certificate_pem).verify_directly_issued_by(newest)
    with pytest.raises(McError, match="none to retire"):
        third.retire()


def test_an_authority_issues_for_its_own_cluster_only(authority: Authority) -> None:
    key = node(authority).key.public_key()
    with pytest.raises(McError, match="not of cluster"):
        authority.issue(Identity.node("test", "a" * 16), "x", ["node"], key, 1, time.time())


@pytest.mark.parametrize(
    ("kind", "roles"),
    [
        ("node", []),
        ("node", ["node", "admin"]),
        ("operator", []),
        ("operator", ["node"]),
        ("operator", ["root"]),
    ],
)
def test_an_authority_issues_no_impossible_roles(
    kind: str, roles: list[str], authority: Authority
) -> None:
    key = node(authority).key.public_key()
    name = Identity.node("prod", "a" * 16) if kind == "node" else Identity.operator("prod", "x")
    with pytest.raises(McError) as caught:
        authority.issue(name, "x", roles, key, 1, time.time())
    assert caught.value.reason == "USAGE"
