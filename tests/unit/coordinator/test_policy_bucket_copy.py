"""A copy in a bucket: beside those on nodes, by the same election, and counted for what it is."""

from dataclasses import replace

import pytest

from coordinator.placement import elect
from coordinator.places import is_bucket, node_of, place, volume_of
from coordinator.policy import (
    ANY_BUCKET,
    Level,
    MissingBucket,
    Policy,
    PolicyImpossible,
    Site,
    shortfall,
    unmet,
)
from coordinator.survival import policy_survival, survival
from coordinator.types import Domain, Knowing, Member
from tests.support.worlds import NEAR_VIRGINIA, TB, ask, domain, spread_out, world

VIRGINIA = domain("aws/us-east-1")
SIX = spread_out(NEAR_VIRGINIA, "ab")
WANTED = replace(Policy(), bucket=ANY_BUCKET)
COPIES = "s3://copies"


def bucket(of: Member, uri: str = COPIES, where: str = "aws/us-east-1", free: int = TB) -> Member:
    cloud, _, region = where.partition("/")
    name = place(of.id, f"volume-of-{uri}")
    assert of.facts is not None
    facts = replace(of.facts, node=name, bucket=uri, domain=Domain(cloud, region), bytes_free=free)
    return replace(of, record=replace(of.record, node=name), facts=facts)


def test_a_place_says_which_node_serves_it() -> None:
    name = place("0123456789abcdef", "some-volume")
    assert (node_of(name), volume_of(name), is_bucket(name)) == (
        "0123456789abcdef",
        "some-volume",
        True,
    )
    assert (node_of("n"), volume_of("n"), is_bucket("n")) == ("n", "", False)


def test_one_copy_more_is_elected_in_a_bucket_and_no_node_less() -> None:
    there = bucket(SIX[0])
    found = elect(ask(VIRGINIA, policy=WANTED), world([*SIX, there]))
    assert found.met
    assert [seat.node for seat in found.targets if seat.site.bucket] == [there.id]
    assert sum(not seat.site.bucket for seat in found.targets) == 3
    assert there.id not in {edge.target for edge in found.tree}
    assert [edge.target for edge in found.fed] == [there.id]
    assert found.survives.nodes == 3


def test_a_bucket_that_nobody_asked_for_is_not_even_mentioned() -> None:
    found = elect(ask(VIRGINIA), world([*SIX, bucket(SIX[0])]))
    assert not any(seat.site.bucket for seat in (*found.targets, *found.spares))
    assert not any(is_bucket(barred.node) for barred in found.board.barred)
    assert found.fed == ()


def test_the_cheapest_bucket_to_reach_is_taken_and_the_others_are_spares_for_it_alone() -> None:
    near, far = bucket(SIX[0]), bucket(SIX[2], "gs://far", "gcp/europe-west1")
    found = elect(ask(VIRGINIA, policy=WANTED), world([*SIX, far, near]))
    assert [seat.node for seat in found.targets if seat.site.bucket] == [near.id]
    spare = found.instead(near.id)
    assert spare is not None
    assert spare.node == far.id
    node = next(seat.node for seat in found.targets if not seat.site.bucket)
    instead = found.instead(node)
    assert instead is not None
    assert not instead.site.bucket


def test_only_the_bucket_that_was_named_will_do() -> None:
    named = replace(Policy(), bucket="gs://named")
    members = [*SIX, bucket(SIX[0]), bucket(SIX[1], "gs://named", "gcp/us-east4")]
    found = elect(ask(VIRGINIA, policy=named), world(members))
    assert [s.site.bucket for s in found.targets if s.site.bucket] == ["gs://named"]
    with pytest.raises(PolicyImpossible, match="a copy in gs://named is wanted") as caught:
        elect(ask(VIRGINIA, policy=named), world([*SIX, bucket(SIX[0])]))
    assert isinstance(caught.value.missing[0], MissingBucket)
    assert caught.value.flags == ()


@pytest.mark.parametrize(
    "other",
    [
        bucket(SIX[0], free=0),
        bucket(replace(SIX[0], knowing=Knowing.DEAD)),
        bucket(SIX[0], where="gcp/europe-west1"),
    ],
)
def test_a_bucket_without_room_or_node_or_leave_takes_nothing(other: Member) -> None:
    policy = replace(WANTED, allow=("aws/us-east-1", "gcp/us-east4", "azure/eastus"))
    members = [*SIX, other]
    if other.facts and other.facts.domain.cloud == "gcp":
        with pytest.raises(PolicyImpossible):
            elect(ask(VIRGINIA, policy=policy), world(members))
        return
    found = elect(ask(VIRGINIA, policy=policy), world(members))
    assert not any(seat.site.bucket for seat in found.targets)
    assert "a copy in a bucket is wanted and there is none" in found.why


def test_a_copy_in_a_bucket_stands_for_no_node_and_a_node_for_no_bucket() -> None:
    nodes = [Site(domain(p), f"n{i}") for i, p in enumerate(NEAR_VIRGINIA)]
    there = Site(Domain("aws", "us-east-1"), "n9/v", COPIES)
    assert unmet(WANTED, [*nodes, there], {}) == ""
    assert "a copy in a bucket" in unmet(WANTED, nodes, {})
    assert "3 nodes are wanted" in unmet(WANTED, [*nodes[:2], there], {})
    assert shortfall(WANTED, nodes)[-1] == 1
    assert not any(shortfall(WANTED, [*nodes, there]))


def test_what_is_there_is_not_elected_again() -> None:
    there = bucket(SIX[0])
    question = replace(ask(VIRGINIA, policy=WANTED), holders=(there.id, SIX[3].id))
    found = elect(question, world([*SIX, there]))
    assert sum(not seat.site.bucket for seat in found.targets) == 2
    assert not any(seat.site.bucket for seat in found.targets)
    assert found.met


def test_more_nodes_than_copies_on_them_may_be_lost_and_no_more_clouds() -> None:
    promised = policy_survival(WANTED)
    assert (promised.nodes, promised.zones, promised.clouds) == (3, 3, 1)
    assert promised.sentence.startswith("3 copies and 1 in a bucket: survives the loss")
    sites = [Site(domain("aws/us-east-1", z), z) for z in "ab"]
    held = survival([*sites, Site(Domain("aws", "us-east-1"), "a/v", COPIES)])
    assert (held.nodes, held.zones, held.clouds) == (2, 2, 0)
    assert held.sentence.startswith("2 copies and 1 in a bucket")
    assert policy_survival(replace(WANTED, replicas=2, spread=((Level.NODE, 2),))).nodes == 2
