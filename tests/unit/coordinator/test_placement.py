"""Elections of placement targets: the rules hold, the reasons are said, and repairs stay small."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.electorate import Ask, World
from coordinator.placement import Election, Elector, elect
from coordinator.policy import Level, Policy, PolicyImpossible, Site, shortfall, spread_of
from coordinator.types import Knowing, Member
from coordinator.verdicts import Candidate, candidates
from tests.support.worlds import (
    NEAR_VIRGINIA,
    REGIONS,
    TB,
    ask,
    domain,
    member,
    refilled,
    spread_out,
    world,
)

VIRGINIA = domain("aws/us-east-1")
SIX = spread_out(NEAR_VIRGINIA, "ab")


def verdict(election: Election, name: str) -> Candidate:
    return next(c for c in candidates(election) if c.name == name)


def policy(replicas: int = 3, **spread: int) -> Policy:
    return Policy(replicas, spread_of(replicas, {Level[k.upper()]: n for k, n in spread.items()}))


places = st.sampled_from(sorted(REGIONS.by_name))
members = st.lists(
    st.tuples(
        places,
        st.sampled_from(["", "a", "b", "c"]),
        st.sampled_from([Knowing.ALIVE, Knowing.ALIVE, Knowing.ALIVE, Knowing.SUSPECT]),
        st.booleans() | st.just(False),
        st.integers(0, 20),
    ),
    min_size=1,
    max_size=16,
).map(
    lambda rows: [
        member(i + 1, domain(p, z), knowing=k, draining=d, free=TB * f // 20)
        for i, (p, z, k, d, f) in enumerate(rows)
    ]
)
policies = st.builds(
    lambda r, cloud, zone, region: policy(
        r, cloud=min(r, cloud), zone=min(r, zone), region=min(r, region)
    ),
    *(st.integers(1, 4), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3)),
)


def could_meet(rules: Policy, sites: list[Site]) -> bool:
    """Levels are nested: rules that can be met one by one can be met together."""
    enough = len(sites) >= rules.replicas
    return enough and not any(shortfall(rules, sites))


def elect_or_refuse(question: Ask, known: World) -> Election | None:
    try:
        return elect(question, known)
    except PolicyImpossible:
        return None


@settings(deadline=None, max_examples=60)
@given(members, policies, places, st.text(max_size=8))
def test_the_policy_is_met_whenever_the_eligible_nodes_can_meet_it(
    some: list[Member], rules: Policy, source: str, key: str
) -> None:
    election = elect_or_refuse(ask(domain(source), key, rules), world(some))
    everyone = [Site(m.facts.domain, m.id) for m in some if m.facts]
    assert (election is None) == (not could_meet(rules, everyone))
    if election is None:
        return
    eligible = [seat.site for seat in election.board.seats]
    assert election.met == could_meet(rules, eligible)
    chosen = [seat.site for seat in election.targets]
    assert len({site.node for site in chosen}) == min(rules.replicas, len(eligible))
    assert election.met == (len(chosen) == rules.replicas and not any(shortfall(rules, chosen)))
    assert {site.node for site in chosen} <= {site.node for site in eligible}


@settings(deadline=None, max_examples=60)
@given(members, policies, places, st.text(max_size=8))
def test_everyone_elects_alike_and_every_member_gets_a_reason(
    some: list[Member], rules: Policy, source: str, key: str
) -> None:
    question = ask(domain(source), key, rules)
    election = elect_or_refuse(question, world(some))
    again = elect_or_refuse(question, world(reversed(some)))
    if election is None or again is None:
        assert election is again
        return
    assert election.targets == again.targets
    assert election.spares == again.spares
    assert election.tree == again.tree
    verdicts = candidates(election)
    assert sorted(v.node for v in verdicts) == sorted(m.id for m in some)
    assert all(v.reason for v in verdicts)
    assert all(0 <= v.score <= 1 for v in verdicts)


@settings(deadline=None, max_examples=60)
@given(members, policies, places, st.text(max_size=8))
def test_bytes_cross_the_border_of_each_remote_cloud_once(
    some: list[Member], rules: Policy, source: str, key: str
) -> None:
    election = elect_or_refuse(ask(domain(source), key, rules), world(some))
    if election is None:
        return
    clouds = {m.id: m.facts.domain.cloud for m in some if m.facts}
    here = source.partition("/")[0]
    crossed = [
        clouds[e.target] for e in election.tree if clouds.get(e.source, here) != clouds[e.target]
    ]
    assert sorted(crossed) == sorted({s.site.domain.cloud for s in election.targets} - {here})
    assert sorted(e.target for e in election.tree) == sorted(s.node for s in election.targets)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 5), st.text(max_size=8))
def test_when_a_node_is_lost_only_its_own_copies_move(lost: int, key: str) -> None:
    zones = spread_out(NEAR_VIRGINIA, "ab", each=2)
    before = elect(ask(VIRGINIA, key), world(zones))
    gone = before.targets[lost % 3].node
    holders = tuple(seat.node for seat in before.targets if seat.node != gone)
    left = [replace(m, knowing=Knowing.DEAD) if m.id == gone else m for m in zones]
    question = replace(ask(VIRGINIA, key), holders=holders)
    repaired = elect(question, world(left))
    assert repaired.met
    assert len(repaired.targets) == 1
    assert repaired.targets[0].node not in {gone, *holders}
    assert {site.node for site in repaired.sites} > set(holders)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0.9, 1.1), min_size=12, max_size=12), st.text(max_size=8))
def test_when_weights_change_nothing_that_stands_is_moved(shakes: list[float], key: str) -> None:
    """What is complete elects nobody, however full its nodes have become."""
    zones = [refilled(m, TB // 2) for m in spread_out(NEAR_VIRGINIA, "ab", each=2)]
    before = elect(ask(VIRGINIA, key), world(zones))
    shaken = [refilled(m, int(TB / 2 * f)) for m, f in zip(zones, shakes, strict=True)]
    holders = tuple(seat.node for seat in before.targets)
    after = elect(replace(ask(VIRGINIA, key), holders=holders), world(shaken))
    assert after.targets == ()
    assert after.met
    assert {site.node for site in after.sites} == set(holders)


def test_every_reason_not_to_choose_a_node_is_said() -> None:
    whole = spread_out(NEAR_VIRGINIA, "abcd")
    silent = replace(whole[1], knowing=Knowing.SUSPECT, silent_s=1.34)
    dead = replace(whole[2], knowing=Knowing.DEAD)
    draining = member(4, domain("aws/us-east-1", "d"), draining=True)
    full = refilled(whole[4], TB // 200)
    without = member(6, domain("gcp/us-east4", "b"), total=0)
    unknown = replace(whole[6], facts=None)
    some = [whole[0], silent, dead, draining, full, without, unknown, *whole[7:]]
    rules = replace(policy(), allow=("aws/*", "gcp/us-east4", "azure/eastus"))
    far = member(99, domain("gcp/europe-west4"))
    unfit = {whole[7].id: "breaker open: 5 of the last 5 transfers failed"}
    election = elect(ask(VIRGINIA, "k", rules), world([*some, far], unfit))
    said = {c.name: (c.eligible, c.reason) for c in candidates(election)}
    assert said["n2"] == (False, "suspected: silent for 1.3 s")
    assert said["n3"] == (False, "dead: most of its observers do not hear it")
    assert said["n4"] == (False, "draining")
    assert said["n5"][1].startswith("no room: 4.657 GiB of 931.3 GiB are free")
    assert said["n6"] == (False, "it has no disk for chunks")
    assert said[whole[6].id] == (False, "it has not said yet where it stands")
    assert said["n8"] == (False, "breaker open: 5 of the last 5 transfers failed")
    assert said["n99"] == (False, "gcp/europe-west4 is none of the allowed regions")
    assert said["n1"] == (True, "chosen for aws/us-east-1/a")


def test_a_dearer_candidate_is_told_by_how_much() -> None:
    election = elect(ask(VIRGINIA), world([*SIX, member(7, domain("gcp/asia-northeast1"))]))
    far = verdict(election, "n7")
    assert "the best plan with it costs more: $0.11/GB against $0.09/GB, 0.84 s" in far.reason
    assert far.score < 0.5
    assert max(verdict(election, f"n{i}").score for i in range(1, 7)) == 1.0


def test_a_policy_that_the_cluster_can_never_meet_is_refused_and_the_missing_named() -> None:
    with pytest.raises(PolicyImpossible) as refused:
        elect(ask(VIRGINIA, "k", policy(4, cloud=4)), world(SIX))
    assert "4 clouds are wanted and there are 3 (aws, azure, gcp)" in str(refused.value)
    assert refused.value.flags == ("--spread cloud=3",)
    with pytest.raises(PolicyImpossible) as few:
        elect(ask(VIRGINIA), world(SIX[:2]))
    assert few.value.flags == ("--spread cloud=1", "--spread zone=2", "--replicas 2")


def test_the_dead_count_for_what_could_be_and_the_removed_do_not() -> None:
    away = [replace(m, knowing=Knowing.DEAD) for m in SIX[2:]]
    election = elect(ask(VIRGINIA), world([*SIX[:2], *away]))
    assert [seat.name for seat in election.targets] == ["n1", "n2"]
    assert not election.met
    assert election.why == (
        "2 clouds are wanted and there is 1 (aws); "
        "3 zones are wanted and there are 2 (aws/us-east-1/a, aws/us-east-1/b); "
        "3 nodes are wanted and there are 2 (n1, n2)"
    )
    assert election.survives.clouds == 0
    removed = [replace(m, knowing=Knowing.REMOVED) for m in SIX[2:]]
    with pytest.raises(PolicyImpossible):
        elect(ask(VIRGINIA), world([*SIX[:2], *removed]))


def test_a_cloud_that_is_away_leaves_as_much_spread_as_there_is() -> None:
    some = [*SIX[:4], *(replace(m, knowing=Knowing.DOWN) for m in SIX[4:])]
    election = elect(ask(VIRGINIA, "k", policy(3, cloud=3)), world(some))
    assert not election.met
    assert election.why == "3 clouds are wanted and there are 2 (aws, gcp)"
    assert len(election.targets) == 3
    assert election.survives.clouds == 1


def test_three_clouds_are_crossed_with_the_dearest_way_out_last() -> None:
    election = elect(ask(VIRGINIA, "k", policy(3, cloud=3)), world(SIX))
    clouds = {m.id: m.facts.domain.cloud for m in SIX if m.facts}
    way = [(clouds.get(e.source, "aws"), clouds[e.target]) for e in election.tree]
    assert way[-1] == ("azure", "gcp")
    assert election.usd_per_gb == pytest.approx(0.1775)


def test_copies_share_a_zone_only_on_purpose() -> None:
    one_zone = [member(i, VIRGINIA) for i in range(1, 4)]
    with pytest.raises(PolicyImpossible):
        elect(ask(VIRGINIA), world(one_zone))
    election = elect(ask(VIRGINIA, "k", policy(3, node=3)), world(one_zone))
    assert election.met
    assert len({seat.node for seat in election.targets}) == 3
    assert (election.survives.nodes, election.survives.zones) == (2, 0)


def test_nodes_without_a_zone_are_failure_domains_of_their_own() -> None:
    bare = [member(i, domain(p, "")) for i, p in enumerate(NEAR_VIRGINIA * 2)]
    assert elect(ask(VIRGINIA), world(bare)).met


def test_one_copy_stands_near_the_wished_region() -> None:
    far = member(7, domain("gcp/asia-northeast1"))
    some = [*SIX, far]
    wished = replace(policy(), near="gcp/asia-northeast1")
    for key in "abcdefgh":
        assert "n7" in {s.name for s in elect(ask(VIRGINIA, key, wished), world(some)).targets}
    nearly = replace(policy(), near="aws/ap-northeast-1")  # Where nobody stands.
    assert "n7" in {s.name for s in elect(ask(VIRGINIA, "k", nearly), world(some)).targets}


def test_a_spare_takes_the_place_of_a_busy_target_without_breaking_a_rule() -> None:
    election = elect(ask(VIRGINIA), world(spread_out(NEAR_VIRGINIA, "ab", each=2)))
    for busy in election.targets:
        refused: set[str] = set()
        while (spare := election.instead(busy.node, refused)) is not None:
            kept = [s.site for s in election.targets if s is not busy]
            assert not any(shortfall(election.ask.policy, [*kept, spare.site]))
            refused.add(spare.node)
        assert refused


def test_a_plan_leaves_the_draw_later_than_it_enters() -> None:
    ample = elect(ask(VIRGINIA), world(SIX)).board
    dearest = ample.kept[-1]
    assert dearest.keys[1:] == ("gcp/us-east4/a", "gcp/us-east4/b")
    filled = [
        refilled(m, int(TB * (0.96 if m.facts and m.facts.domain.cloud == "gcp" else 1)))
        for m in SIX
    ]
    fresh = elect(ask(VIRGINIA), world(filled))
    stays = elect(ask(VIRGINIA), world(filled), earlier=ample.kept_keys)
    assert dearest.keys not in fresh.board.kept_keys
    assert dearest.keys in stays.board.kept_keys


def test_what_was_sent_since_counts_as_full() -> None:
    some = spread_out(NEAR_VIRGINIA, "ab", each=2)
    known = world(some)
    election = elect(ask(VIRGINIA, "k"), known)
    sent = {election.targets[0].node: 10**12}
    again = elect(replace(ask(VIRGINIA, "k"), sent_bytes=sent), known)
    assert election.targets[0] not in again.targets
    assert again.met


def test_a_fuller_zone_is_left_out_once_that_is_worth_more_than_the_dollars() -> None:
    for key in "abcd":
        filled = [refilled(m, TB // 4) if m.id in {x.id for x in SIX[4:]} else m for m in SIX]
        chosen = elect(ask(VIRGINIA, key), world(filled))
        assert {seat.site.domain.cloud for seat in chosen.targets} == {"aws", "gcp"}
        full = verdict(chosen, "n5")
        assert "76% full against 0% full" in full.reason
        assert 0 < full.score < 1


def test_plans_are_made_once_for_a_view_and_anew_when_something_is_new() -> None:
    elector, known = Elector(), world(SIX)
    first = elector.elect(ask(VIRGINIA, "a"), known)
    assert elector.elect(ask(VIRGINIA, "b"), known).board is first.board
    assert elector.elect(ask(VIRGINIA, "a", policy(3, cloud=3)), known).board is not first.board
    older = [replace(m, silent_s=m.silent_s + 1) for m in SIX]  # The same facts, seen later.
    assert elector.elect(ask(VIRGINIA, "b"), world(older)).board is first.board
    fuller = [refilled(SIX[0], TB // 2), *SIX[1:]]
    assert elector.elect(ask(VIRGINIA, "b"), world(fuller)).board is not first.board
    doubted = [replace(SIX[0], knowing=Knowing.SUSPECT), *SIX[1:]]
    assert elector.elect(ask(VIRGINIA, "c"), world(doubted)).board is not first.board


def test_the_quick_walk_keeps_what_trying_every_plan_keeps() -> None:
    some = spread_out(sorted(REGIONS.by_name), "ab", each=1)
    for source in sorted(REGIONS.by_name):
        found = elect(ask(domain(source)), world(some)).board
        bound = found.plans[0].cost * 1.1
        assert set(found.kept) == {plan for plan in found.plans if plan.cost <= bound}
