"""What is survived is counted, and the odds beyond it agree with counting and with chance."""

from itertools import combinations
from math import comb
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.policy import Level, Policy, Site, spread_of
from coordinator.survival import (
    copysets_bound,
    copysets_free,
    odds,
    policy_survival,
    share_sentence,
    survival,
)
from tests.support.worlds import domain

sites = st.lists(
    st.tuples(st.sampled_from(["a/1", "a/2", "b/1", "c/1"]), st.sampled_from(["", "x", "y"])),
    min_size=1,
    max_size=4,
).map(lambda rows: [Site(domain(p, z), f"{i}") for i, (p, z) in enumerate(rows)])


@settings(deadline=None, max_examples=60)
@given(sites)
def test_every_loss_that_is_promised_leaves_a_copy_and_one_more_need_not(some: list[Site]) -> None:
    found = survival(some)
    for level, promised in (
        (Level.NODE, found.nodes),
        (Level.ZONE, found.zones),
        (Level.REGION, found.regions),
        (Level.CLOUD, found.clouds),
    ):
        domains = {site.at(level) for site in some}
        assert promised == len(domains) - 1
        for lost in combinations(sorted(domains), promised):
            assert any(site.at(level) not in lost for site in some)


@settings(deadline=None, max_examples=60)
@given(
    sites,
    st.integers(1, 4),
    st.dictionaries(st.sampled_from(list(Level)), st.integers(1, 4), max_size=3),
)
def test_a_policy_promises_no_more_than_any_placement_that_meets_it(
    some: list[Site], replicas: int, asked: dict[Level, int]
) -> None:
    spread = spread_of(replicas, {at: min(n, replicas) for at, n in asked.items()})
    policy, real = Policy(replicas, spread), survival(some)
    met = all(len({s.at(at) for s in some}) >= n for at, n in spread) and len(some) == replicas
    if met:
        promised = policy_survival(policy)
        assert promised.nodes == real.nodes
        assert promised.zones <= real.zones
        assert promised.regions <= real.regions
        assert promised.clouds <= real.clouds


def test_it_is_said_in_one_sentence_with_what_is_not_survived() -> None:
    one_cloud = [Site(domain("aws/us-east-1", z), z) for z in "ab"]
    assert survival(one_cloud).sentence == (
        "2 copies: survives the loss at once of any 1 node or any 1 zone; "
        "the loss of one region or cloud can lose data."
    )
    assert survival(one_cloud[:1]).sentence == (
        "1 copy; the loss of one node or zone or region or cloud can lose data."
    )
    assert policy_survival(Policy()).sentence == (
        "3 copies: survives the loss at once of "
        "any 2 nodes, any 2 zones, any 1 region or any 1 cloud."
    )


@pytest.mark.parametrize(
    ("nodes", "lost", "share", "any_128", "any_copysets"),
    [
        (15, 2, 0, 0, 0),
        (16, 3, 0.0018, 0.20, 0.019),
        (25, 4, 0.0017, 0.20, 0.029),
        (50, 9, 0.0043, 0.42, 0.14),
        (100, 19, 0.0060, 0.54, 0.33),
    ],
)
def test_the_odds_of_losing_a_fifth_at_once(
    nodes: int, lost: int, share: float, any_128: float, any_copysets: float
) -> None:
    free = odds(nodes, 3, lost, copysets_free(nodes, 3, 128))
    assert free.chunks_share == pytest.approx(share, abs=0.0001)
    assert free.any_lost == pytest.approx(any_128, abs=0.012)
    few = odds(nodes, 3, lost, copysets_bound(nodes, 3, 4))
    assert few.any_lost == pytest.approx(any_copysets, rel=0.05, abs=0.0005)


def test_the_odds_agree_with_chance() -> None:
    rng = Random(5)
    groups = [frozenset(rng.sample(range(12), 3)) for _ in range(20)]
    lives = 20_000
    hit = sum(
        any(group <= lost for group in groups)
        for lost in (frozenset(rng.sample(range(12), 4)) for _ in range(lives))
    )
    assert odds(12, 3, 4, len(set(groups))).any_lost == pytest.approx(hit / lives, abs=0.03)


def test_twenty_percent_is_a_promise_up_to_fifteen_nodes_only() -> None:
    assert share_sentence(15, 3, 10_000) == (
        "Losing fewer than 20% of 15 nodes (2) at once loses nothing."
    )
    assert "of 16 nodes (3) at once, any of them, for good" in share_sentence(16, 3, 10_000)
    assert copysets_free(6, 3, 10_000) == comb(6, 3)
