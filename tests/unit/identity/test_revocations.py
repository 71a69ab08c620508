"""What is void, who may say so, and how sets of revocations agree."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from identity_world import operator

from identity.authority import Authority
from identity.certificate import Holder, read_certificate
from identity.names import Identity
from identity.records import read_revocations_json, revocations_json
from identity.revocations import RevocationSet, revocations_digest, verify_revocation, voids
from multicloud.errors import McError
from multicloud.v1 import peer_pb2

ADA = Identity.operator("prod", "ada").uri


def test_an_identity_is_void_with_all_its_certificates_so_far(authority: Authority) -> None:
    now = time.time()
    before = read_certificate(operator(authority, now=now).certificate_pem)
    revocation = authority.revoke(ADA, "", "left", now + 60)
    known = RevocationSet()
    assert known.add_all([revocation], authority.trust) == [revocation]
    assert known.revoked(before) == revocation
    other = read_certificate(operator(authority, "bob", now=now).certificate_pem)
    assert known.revoked(other) is None


def test_a_certificate_issued_right_after_a_revocation_is_good(authority: Authority) -> None:
    now = time.time()
    revocation = authority.revoke(ADA, "", "laptop lost", now)
    again = read_certificate(operator(authority, now=now).certificate_pem)
    assert not voids(revocation, again)


def test_one_certificate_can_be_void_alone(authority: Authority) -> None:
    first = read_certificate(operator(authority).certificate_pem)
    second = read_certificate(operator(authority).certificate_pem)
    # People paste serials as tools print them.
    pasted = ":".join(first.serial.zfill(40).upper()[i : i + 2] for i in range(0, 40, 2))
    known = RevocationSet([authority.revoke(ADA, pasted, "leaked", time.time())])
    assert known.revoked(first)
    assert known.revoked(second) is None


@pytest.mark.parametrize("field", ["identity", "serial", "revoked_unix_s", "reason", "signature"])
def test_a_revocation_with_one_changed_field_is_refused(field: str, authority: Authority) -> None:
    revocation = authority.revoke(ADA, "", "left", time.time())
    changed = {
        "identity": Identity.operator("prod", "bob").uri,
        "serial": "1",
        "revoked_unix_s": revocation.revoked_unix_s + 1,
        "reason": "lfet",
        "signature": b"",
    }
    setattr(revocation, field, changed[field])
    known = RevocationSet()
    with pytest.raises(McError) as refused:
        known.add_all([revocation], authority.trust)
    assert refused.value.reason == "UNTRUSTED"
    assert known.merge([revocation], authority.trust) == []
    assert known.all() == []


def test_a_revocation_signed_by_another_ca_is_refused(
    authority: Authority, stranger: Authority
) -> None:
    with pytest.raises(McError, match="not signed"):
        verify_revocation(stranger.revoke(ADA, "", "spite", time.time()), authority.trust)


def test_fields_cannot_be_moved_into_each_other(authority: Authority) -> None:
    """The signed bytes hold each field's length: the head of a serial is not the end of a name."""
    revocation = authority.revoke(ADA, "b1", "left", time.time())
    revocation.identity, revocation.serial = ADA + "b", "1"
    with pytest.raises(McError, match="not signed"):
        verify_revocation(revocation, authority.trust)


def test_a_revocation_counts_in_its_own_cluster_only(authority: Authority) -> None:
    revocation = authority.revoke(ADA, "", "left", time.time())
    other = peer_pb2.TrustBundle()
    other.CopyFrom(authority.trust)
    other.cluster = "test"
    with pytest.raises(McError, match="cluster test"):
        verify_revocation(revocation, other)


def test_one_forged_revocation_spoils_the_whole_call(
    authority: Authority, stranger: Authority
) -> None:
    good = authority.revoke(ADA, "", "left", time.time())
    bad = stranger.revoke(ADA, "1", "spite", time.time())
    known = RevocationSet()
    with pytest.raises(McError):
        known.add_all([good, bad], authority.trust)
    assert known.all() == []
    assert known.merge([good, bad], authority.trust) == [good]


def test_what_is_read_back_is_the_same_set(authority: Authority) -> None:
    some = [authority.revoke(ADA, serial, "x", time.time()) for serial in ("", "1", "2")]
    again = RevocationSet(read_revocations_json(revocations_json(some)))
    assert again.digest == RevocationSet(some).digest
    assert again.all() == RevocationSet(some).all()


def test_retired_cas_take_their_revocations_with_them(authority: Authority) -> None:
    old = authority.revoke(ADA, "", "left", time.time())
    authority.rotate()
    new = authority.revoke(Identity.operator("prod", "bob").uri, "", "left", time.time())
    known = RevocationSet()
    known.add_all([old, new], authority.trust)
    known.retain(authority.retire())
    assert known.all() == [new]


facts = st.builds(
    peer_pb2.Revocation,
    identity=st.sampled_from(["spiffe://c/operator/a", "spiffe://c/operator/b"]),
    serial=st.sampled_from(["", "1", "2"]),
    revoked_unix_s=st.integers(0, 3),
    reason=st.text(max_size=3),
)


@given(some=st.lists(facts, max_size=8), order=st.randoms())
def test_the_digest_knows_the_set_and_not_its_order(some: list, order) -> None:  # type: ignore
    shuffled = [*some, *some[:2]]
    order.shuffle(shuffled)
    assert revocations_digest(some) == revocations_digest(shuffled)
    assert RevocationSet(some).digest == revocations_digest(some)


@given(some=st.lists(facts, max_size=8), extra=facts)
def test_the_digest_tells_different_sets_apart(some: list, extra: peer_pb2.Revocation) -> None:  # type: ignore
    known = {(r.identity, r.serial, r.revoked_unix_s) for r in some}
    is_new = (extra.identity, extra.serial, extra.revoked_unix_s) not in known
    assert (revocations_digest([*some, extra]) != revocations_digest(some)) == is_new


@given(begins=st.integers(0, 10), revoked=st.integers(0, 10))
def test_a_revocation_reaches_exactly_what_began_before_it(begins: int, revoked: int) -> None:
    holder = Holder(
        Identity.operator("c", "a"), frozenset({"admin"}), "a", "1", begins, begins + 100
    )
    revocation = peer_pb2.Revocation(identity=holder.identity.uri, revoked_unix_s=revoked)
    assert voids(revocation, holder) == (begins <= revoked)
