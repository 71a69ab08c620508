"""A copy in a bucket as the upkeep counts it: a holder beside nodes, that makes none needless."""

from dataclasses import replace

import pytest

from coordinator.places import place
from coordinator.policy import ANY_BUCKET, Level, Policy, Site
from coordinator.types import Domain
from nodeagent.core.upkeep_surplus import keepers
from nodeagent.core.upkeep_tally import Presence, Standing, Tally, basis_of

TWO = Policy(2, ((Level.ZONE, 2),))
WANTED = replace(TWO, bucket=ANY_BUCKET)
CHUNK = bytes(32)
BUCKET = place("b", "in-bucket")


def standings(*gone: str) -> dict[str, Standing]:
    nodes = {
        node: Standing(
            Site(Domain("aws", "one", node), node),
            Presence.GONE if node in gone else Presence.HERE,
        )
        for node in "abc"
    }
    bucket = Site(Domain("aws", "one"), BUCKET, "s3://copies")
    return {**nodes, BUCKET: replace(nodes["b"], site=bucket)}


def tally(own: str, policy: Policy, *holders: tuple[str, str]) -> Tally:
    made = Tally(own, frozenset({"in-bucket"} if own == "b" else ()))
    made.put(CHUNK, 10, policy, holders)
    return made


def short(policy: Policy, *holders: tuple[str, str], gone: str = "") -> set[str]:
    """Who sees to it that the chunk gets further copies."""
    found = (tally(own, policy, *holders).lacking(standings(*gone)) for own in "abc")
    return {own for own, lacking in zip("abc", found, strict=True) if lacking}


A, B, C, IN_BUCKET = ("a", "da"), ("b", "db"), ("c", "dc"), (BUCKET, "in-bucket")


def test_nothing_lacks_where_nodes_and_bucket_have_what_the_policy_wants() -> None:
    assert short(WANTED, A, C, IN_BUCKET) == set()
    assert short(TWO, A, C) == set()


@pytest.mark.parametrize("holders", [(A, C), (A, IN_BUCKET), (A, B, C)])
def test_one_holder_sees_to_what_lacks_in_the_bucket_or_on_nodes(
    holders: tuple[tuple[str, str], ...],
) -> None:
    assert len(short(WANTED, *holders)) == 1


def test_the_copy_in_a_bucket_feeds_nodes_when_they_have_lost_all_of_theirs() -> None:
    assert short(WANTED, IN_BUCKET) == {"b"}
    assert short(WANTED, A, C, IN_BUCKET, gone="ac") == {"b"}


def test_what_lies_in_the_own_bucket_is_told_from_what_lies_on_the_own_disk() -> None:
    made = tally("b", WANTED, A)
    made.here(CHUNK, 10, WANTED, ["db", "in-bucket"])
    assert set(made.holders(CHUNK)) == {A, B, IN_BUCKET}
    made.here(CHUNK, 10, WANTED, ["db"])
    assert set(made.holders(CHUNK)) == {A, B}


def test_a_bucket_makes_no_copy_on_a_node_needless_and_is_none_that_keeps() -> None:
    nodes = [Site(Domain("aws", "one", node), node) for node in "abc"]
    assert keepers(WANTED, nodes) == (nodes[0], nodes[1])
    assert keepers(WANTED, nodes[:1]) is None
    assert not list(tally("a", WANTED, A, C, IN_BUCKET).uneven(standings()))
    assert list(tally("a", WANTED, A, B, C, IN_BUCKET).uneven(standings())) == [(CHUNK, False)]


def test_buckets_are_no_members_by_which_counts_are_compared() -> None:
    assert basis_of(["a", "b", BUCKET]) == basis_of(["b", "a"])
