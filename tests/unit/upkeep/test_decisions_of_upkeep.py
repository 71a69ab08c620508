"""What may go and who keeps it: marking, ranks, proofs and evidence, without input or output."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from coordinator.policy import Level, Policy, Site, shortfall
from coordinator.types import Domain
from nodeagent.core.upkeep_marking import Amount, is_unnamed, too_much
from nodeagent.core.upkeep_proofs import Proof, good, judged, may_discard
from nodeagent.core.upkeep_surplus import better, keepers

ID = bytes(range(32))
SITES = [
    Site(Domain(cloud, "somewhere", zone), f"{number:016x}")
    for number, (cloud, zone) in enumerate(
        [("aws", "a"), ("aws", "a"), ("aws", "b"), ("gcp", "a"), ("gcp", "b"), ("azure", "")]
    )
]
POLICY = Policy(3, ((Level.CLOUD, 2), (Level.ZONE, 3)))


@dataclass(frozen=True)
class Kept:
    chunk_id: bytes = ID
    file_bytes: int = 100
    stored_unix_s: float = 1000.0
    verified_unix_s: float = 1000.0


def test_only_what_is_old_enough_when_the_roots_were_read_is_unnamed() -> None:
    assert is_unnamed(Kept(), set(), known_unix_s=1060.0, grace_s=60.0)
    assert not is_unnamed(Kept(), set(), known_unix_s=1059.0, grace_s=60.0)
    assert not is_unnamed(Kept(), {ID}, known_unix_s=9999.0, grace_s=60.0)


def test_a_fifth_may_go_unasked_and_not_a_chunk_or_byte_more() -> None:
    living = Amount(100, 10_000)
    assert too_much(Amount(20, 2_000), living, Amount(), 0.2) == ""
    assert "21 of 100 chunks" in too_much(Amount(21, 100), living, Amount(), 0.2)
    assert "2001 of 10000 bytes" in too_much(Amount(1, 2_001), living, Amount(), 0.2)


def test_many_small_passes_do_not_take_what_one_may_not() -> None:
    living, trash = Amount(100, 10_000), Amount()
    while not too_much(Amount(10, 1_000), living, trash, 0.2):
        living, trash = (
            Amount(living.chunks - 10, living.file_bytes - 1_000),
            trash + Amount(10, 1_000),
        )
    assert trash == Amount(20, 2_000)


@given(st.binary(min_size=32, max_size=32), st.sets(st.sampled_from(SITES), min_size=1))
def test_whoever_trims_leaves_holders_that_meet_the_policy_and_never_trim(
    chunk_id: bytes, holders: set[Site]
) -> None:
    """Even when all of them look at the same moment."""
    trims = {
        one for one in holders if keepers(POLICY, better(chunk_id, one.node, holders)) is not None
    }
    stay = holders - trims
    enough = len(holders) >= POLICY.replicas and not any(shortfall(POLICY, holders))
    assert not trims or enough
    if enough:
        assert len(stay) >= POLICY.replicas
        assert not any(shortfall(POLICY, stay))


def test_copies_in_one_place_are_no_reason_to_trim() -> None:
    in_one_cloud = [site for site in SITES if site.domain.cloud == "aws"]
    assert keepers(POLICY, in_one_cloud) is None
    assert keepers(Policy(2, ()), in_one_cloud) == tuple(in_one_cloud[:2])


def test_whoever_proves_other_bytes_than_the_rest_is_bad() -> None:
    told = [Proof(n, f"v{n}", True, proof=p) for n, p in (("a", b"1"), ("b", b"1"), ("c", b"2"))]
    assert [one.node for one in good(judged(told))] == ["a", "b"]
    assert [one.node for one in good(judged(told, own=b"2"))] == ["c"]
    assert judged(told)[2].reason == "DAMAGE"
    assert good(judged(told[1:])) == [], "one against one: nobody is believed"


def test_two_answers_about_one_disk_are_one_copy() -> None:
    told = [Proof("a", "v", True, proof=b"1"), Proof("b", "v", True, proof=b"1")]
    assert len(good(judged(told))) == 1


def test_evidence_goes_after_a_day_and_with_enough_proven_copies() -> None:
    def may(age_s: float, proven: int, asked: int = 3, known: int = 6) -> bool:
        return may_discard(0.0, age_s, 86400.0, proven, asked, known)

    assert may(86400.0, 3)
    assert not may(86399.0, 3)
    assert not may(86400.0, 2)
    assert may(86400.0, 2, known=2), "more are not to be had"
    assert not may(86400.0, 1, known=1), "one copy is never enough"
