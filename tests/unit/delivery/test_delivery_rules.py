"""The rules of a delivery, one by one: what counts, who is asked next, and how it ends."""

from collections.abc import Callable

import pytest

from coordinator.policy import Level, Policy, spread_of
from multicloud.errors import McError
from nodeagent.core.delivery_words import (
    Acked,
    Away,
    Copy,
    ElectAgain,
    Elected,
    Failed,
    GiveUp,
    Goal,
    HolderFailed,
    Push,
    Safe,
    Seen,
    Send,
    Short,
)
from tests.support.worlds import NEAR_VIRGINIA, domain, member, spread_out
from tests.unit.delivery.cluster_in_play import Play, volume_of

SIX = spread_out(NEAR_VIRGINIA, "ab")
TWELVE = spread_out(NEAR_VIRGINIA, "abcd")


def kinds(actions: object) -> list[str]:
    assert isinstance(actions, list)
    return [type(action).__name__ for action in actions]


def started(play: Play) -> Play:
    (send,) = play.begin()
    assert isinstance(send, Send)
    return play


def cloud(play: Play, node: str) -> str:
    return next(m.facts.domain.cloud for m in play.members if m.facts and m.id == node)


def searched(fits: Callable[[Play], bool], source: str = "") -> Play:
    """A chunk whose election has what the test is about."""
    plays = (Play(TWELVE, source=source, key=f"task-{n}") for n in range(200))
    return next(play for play in plays if fits(play))


def fed_by(play: Play) -> Callable[[str], bool]:
    """Whether a target is fed by another one."""
    relayed = {edge.target for edge in play.election.tree if edge.source}
    return lambda node: node in relayed


def two_clouds(play: Play) -> tuple[str, str, str]:
    """The targets, two of different clouds first."""
    first = play.targets[0]
    other = next(n for n in play.targets if cloud(play, n) != cloud(play, first))
    (last,) = set(play.targets) - {first, other}
    return first, other, last


def test_when_nothing_fails_the_tree_of_the_brain_is_all_that_is_used() -> None:
    play = started(Play(SIX))
    first, other, last = two_clouds(play)
    assert set(play.busy) == set(play.targets)
    assert {(e.source, e.target) for e in play.election.tree} == {
        ("" if by == "the source" else by, node) for node, by in play.busy.items()
    }
    assert play.stored(first) == []
    assert kinds(play.stored(other)) == ["Acked"]
    assert kinds(play.stored(last)) == ["Safe"]
    assert kinds(play.actions) == ["Send", "Acked", "Safe"]
    assert play.delivery.over
    assert play.delivery.wake_s is None


def test_two_copies_in_one_cloud_are_no_ack_when_the_policy_wants_two_clouds() -> None:
    play = started(searched(lambda play: len({cloud(play, n) for n in play.targets}) == 2))
    first, other, last = two_clouds(play)
    if cloud(play, last) != cloud(play, first):
        first, other = other, first
    assert play.stored(first, last) == []
    assert kinds(play.stored(other)) == ["Acked", "Safe"]


def test_the_rules_of_an_ack_are_those_of_the_policy_for_so_many_copies() -> None:
    rules = spread_of(3, {Level.CLOUD: 2, Level.REGION: 3})
    goal = Goal(Policy(3, rules), 2)
    assert dict(goal.acked.spread) == {Level.CLOUD: 2, Level.REGION: 2, Level.ZONE: 2}
    assert goal.acked.replicas == 2
    assert Goal(Policy(3, rules), 9).acked == Policy(3, rules)
    assert dict(Goal(Policy(1, spread_of(1, {})), 2).acked.spread) == {
        Level.CLOUD: 1,
        Level.ZONE: 1,
    }


def test_acking_after_every_copy_says_acked_and_safe_at_once() -> None:
    play = started(Play(SIX, ack_copies=3))
    play.stored(*play.targets[:2])
    assert kinds(play.stored(play.targets[2])) == ["Acked", "Safe"]


def test_a_source_that_is_a_target_keeps_its_own_copy() -> None:
    play = searched(lambda play: play.source in play.targets, source=SIX[0].id)
    (send,) = play.begin()
    assert isinstance(send, Send)
    assert send.local
    assert play.source in play.busy
    assert kinds(play.stored(*play.targets)) == ["Acked", "Safe"]


def test_a_second_fact_from_one_volume_counts_once_whoever_tells_it() -> None:
    play = started(Play(TWELVE))
    first, other, last = two_clouds(play)
    play.stored(first)
    assert play.stored(first) == []
    (push,) = play.tell(Copy(other, volume_of(first)))
    assert isinstance(push, Push)  # A spare, fed by who has it.
    assert push.holder == first
    assert not play.delivery.acked
    (spare,) = (n for branch in push.branches for n in branch.nodes())
    play.stored(last)
    assert "Safe" in kinds(play.stored(spare))


def test_what_was_there_already_counts_as_a_copy() -> None:
    play = started(Play(SIX))
    known = [Copy(n, volume_of(n), already=True) for n in play.targets]
    assert kinds(play.tell(*known)) == ["Acked", "Safe"]


def test_known_copies_feed_the_others_and_nothing_is_sent_from_the_source() -> None:
    play = Play(SIX)
    first = play.targets[0]
    actions = play.begin(Copy(first, volume_of(first), already=True))
    assert kinds(actions) == ["Push"]
    assert {n for n in play.busy} == set(play.targets) - {first}
    assert "Safe" in kinds(play.stored(*play.targets[1:]))


def test_a_failed_target_is_replaced_by_the_next_spare_as_soon_as_somebody_has_the_chunk() -> None:
    play = started(Play(TWELVE))
    first, _other, last = two_clouds(play)
    assert play.failed(last) == []  # Nobody has it yet.
    actions = play.stored(first)
    assert kinds(actions) == ["Push"]
    push = play.only(Push)[0]
    assert isinstance(push, Push)
    assert push.holder == first
    sites = play.election.sites
    expected = play.election.instead(last, (), sites)
    assert expected is not None
    assert push.branches[0].node == expected.node
    assert not play.only(ElectAgain)


def test_spares_are_taken_in_order_and_then_an_election_is_asked_for() -> None:
    play = started(Play(TWELVE))
    first, other, last = two_clouds(play)
    play.stored(first, other)
    actions, asked = play.failed(last), []
    while kinds(actions) == ["Push"]:
        (node,) = play.busy
        asked.append(node)
        actions = play.failed(node)
    order = [seat.node for seat in play.election.spares]
    assert asked == [node for node in order if node in asked]
    assert asked
    (again,) = actions
    assert isinstance(again, ElectAgain)
    assert set(again.holders) == {first, other}
    assert {last, *asked} <= again.refused.keys()
    (push,) = play.tell(play.elect_again(again))
    assert isinstance(push, Push)
    (fresh,) = play.busy
    assert fresh not in {last, *asked}
    assert "Safe" in kinds(play.stored(fresh))


def test_elections_are_paused_for_longer_and_longer_and_end() -> None:
    play = started(Play(spread_out(NEAR_VIRGINIA, "a")))
    first, other, last = two_clouds(play)
    play.stored(first, other)
    actions, begun_s = play.failed(last), play.now_s
    while not play.delivery.over:
        match actions:
            case [ElectAgain()]:
                actions = play.tell(Elected(None, "nobody is there"))
            case _:
                actions = play.sleep()
    assert kinds(actions) == ["Short"]
    assert len(play.only(ElectAgain)) == 5  # As its patience says.
    assert 1.0 < play.now_s - begun_s < 30.0


def test_a_node_that_failed_because_its_relay_did_keeps_its_place() -> None:
    play = started(searched(lambda play: sorted(map(fed_by(play), play.targets)) == [0, 0, 1]))
    (child,) = (n for n in play.targets if fed_by(play)(n))
    relay = play.busy[child]
    (rest,) = set(play.targets) - {relay, child}
    play.tell(Failed(child, "UNREACHABLE"), Failed(relay, "UNREACHABLE"))
    pushes = [action for action in play.stored(rest) if isinstance(action, Push)]
    fed = {n for push in pushes for branch in push.branches for n in branch.nodes()}
    assert child in fed
    assert relay not in fed


def test_who_broke_off_as_a_holder_is_not_held_against_those_it_fed() -> None:
    play = started(Play(TWELVE))
    first, other, last = two_clouds(play)
    play.stored(first, other)
    (push,) = play.failed(last)
    assert isinstance(push, Push)
    (spare,) = play.busy
    (again,) = play.tell(HolderFailed(push.holder, (spare,), "UNREACHABLE"))
    assert isinstance(again, Push)
    assert again.holder in {first, other} - {push.holder}
    assert list(play.busy) == [spare]


def test_a_node_that_dies_after_storing_counts_for_acked_and_not_for_safe() -> None:
    play = started(Play(TWELVE))
    first, other, last = two_clouds(play)
    play.stored(first)
    play.tell(Away(first, "its process is gone"))
    assert kinds(play.stored(other))[0] == "Acked"
    assert "Safe" not in kinds(play.stored(last))
    pushed = [n for n in play.busy if n not in play.targets]
    assert len(pushed) == 1  # In the place of the one who is away.
    assert kinds(play.stored(pushed[0])) == ["Safe"]


def test_a_node_that_returns_with_its_volume_counts_again() -> None:
    play = started(Play(SIX))
    first, other, last = two_clouds(play)
    play.stored(first)
    play.tell(Away(first, "its process is gone"))
    play.stored(other, last)
    assert kinds(play.tell(Seen(first, frozenset({volume_of(first)})))) == ["Safe"]


def test_a_volume_that_is_gone_counts_for_nothing() -> None:
    play = started(Play(TWELVE))
    first, other, _last = two_clouds(play)
    play.stored(first)
    play.tell(Away(first, "its process is gone"), Seen(first, frozenset({"a new disk"})))
    assert "Acked" not in kinds(play.stored(other))
    assert not [c for c in play.delivery.reached.copies if c.node == first]


def test_an_ack_is_never_taken_back_and_says_what_was_there() -> None:
    play = started(Play(TWELVE))
    first, other, _last = two_clouds(play)
    play.stored(first, other)
    play.tell(Away(first, "gone"), Seen(first, frozenset()))
    assert play.delivery.acked
    assert len(play.only(Acked)) == 1


def test_a_target_that_goes_away_in_the_middle_is_not_waited_for() -> None:
    play = started(Play(TWELVE))
    first, other, last = two_clouds(play)
    play.stored(first, other)
    actions = play.tell(Away(last, "its process is gone"))
    assert kinds(actions) == ["GiveUp", "Push"]


def test_a_late_target_is_given_up_and_its_late_copy_still_counts() -> None:
    play = started(Play(TWELVE))
    first, other, last = two_clouds(play)
    play.stored(first, other, after_s=3.0)
    actions = play.sleep()
    assert kinds(actions) == ["GiveUp", "Push"]
    assert play.now_s == pytest.approx(112.0)  # Four times what the others took.
    assert isinstance(actions[0], GiveUp)
    assert actions[0].node == last
    assert kinds(play.stored(last)) == ["Safe"]


def test_without_any_copy_it_ends_at_once_so_that_the_chunk_is_sealed_anew() -> None:
    play = started(Play(TWELVE))
    actions = play.failed(*play.targets)
    assert kinds(actions) == ["Short"]
    assert not play.only(Push)


def test_a_node_that_is_still_at_work_is_not_elected_again() -> None:
    play = started(Play(spread_out(NEAR_VIRGINIA, "a")))
    first, other, last = two_clouds(play)
    play.stored(first, other)
    actions = play.tell(Away(last, "its process is gone"))
    again = actions[-1]
    assert isinstance(again, ElectAgain)
    assert last in again.refused


def test_a_late_node_is_refused_for_as_long_as_it_has_not_answered() -> None:
    play = started(Play(spread_out(NEAR_VIRGINIA, "a")))
    first, other, last = two_clouds(play)
    play.stored(first, other, after_s=3.0)
    actions = play.sleep()
    for _ in range(3):
        assert isinstance(actions[-1], ElectAgain)
        assert last in actions[-1].refused
        play.tell(Elected(None, "nobody"), after_s=60.0)
        actions = play.actions
    assert last in play.busy


def test_who_is_late_has_lost_its_place_though_its_relay_fails_too() -> None:
    play = started(searched(lambda play: sorted(map(fed_by(play), play.targets)) == [0, 0, 1]))
    (child,) = (n for n in play.targets if fed_by(play)(n))
    relay = play.busy[child]
    (rest,) = set(play.targets) - {relay, child}
    play.tell(Away(child, "its process is gone"))
    play.tell(Failed(child, "UNREACHABLE"), Failed(relay, "UNREACHABLE"))
    play.stored(rest)
    assert child not in play.busy


def test_a_spare_that_failed_is_not_taken_again_from_the_same_election() -> None:
    play = started(Play(TWELVE))
    first, other, last = two_clouds(play)
    play.stored(first, other)
    play.failed(last)
    asked = []
    while not play.only(ElectAgain):
        (node,) = play.busy
        asked.append(node)
        play.tell(Failed(node, "NO_ROOM"), after_s=100.0)
    assert len(asked) == len(set(asked))


def test_a_restarted_node_gets_its_copy_from_a_holder() -> None:
    play = started(Play(spread_out(NEAR_VIRGINIA, "a")))
    first, other, last = two_clouds(play)
    play.stored(first, other)
    play.tell(Away(last, "its process is gone"))
    play.tell(Failed(last, "UNREACHABLE"), Elected(None, "nobody"))
    play.tell(Seen(last, frozenset({volume_of(last)})))
    while not play.busy:
        actions = play.sleep()
        if kinds(actions) == ["ElectAgain"]:
            assert isinstance(actions[0], ElectAgain)
            play.tell(play.elect_again(actions[0]))
    assert kinds(play.stored(last)) == ["Safe"]


def test_what_was_reached_names_copies_domains_and_the_failure_of_each_target() -> None:
    play = started(Play(spread_out(NEAR_VIRGINIA, "a")))
    first, other, last = two_clouds(play)
    play.stored(first, other)
    actions = play.failed(last)
    while not play.delivery.over:
        again = kinds(actions) == ["ElectAgain"]
        actions = play.tell(Elected(None, "nobody")) if again else play.sleep()
    (short,) = actions
    assert isinstance(short, Short)
    assert {c.node for c in short.reached.copies} == {first, other}
    error = short.reached.error(b"\x01\x02")
    assert isinstance(error, McError)
    assert error.reason == "COPIES_MISSING"
    names = {m.id: m.facts.name for m in play.members if m.facts}
    for said in ("chunk 0102", f"a copy on {names[first]}", f"{names[last]}: NO_ROOM", "zones"):
        assert said in error.message
    assert error.facts["copies"] == "2"


def test_a_copy_where_the_policy_does_not_allow_it_does_not_count() -> None:
    rules = Policy(2, spread_of(2, {Level.CLOUD: 1}), allow=("aws/*", "gcp/*"))
    outside = next(m.id for m in SIX if m.facts and m.facts.domain.cloud == "azure")
    play = Play(SIX, rules, holders=(outside,))
    play.begin(Copy(outside, volume_of(outside), already=True))
    assert play.delivery.reached.copies
    assert "Acked" not in kinds(play.stored(play.targets[0]))


def test_a_node_nobody_asked_is_not_believed() -> None:
    play = started(Play(SIX))
    stranger = member(99, domain("gcp/us-east4"))
    assert play.tell(Copy(stranger.id, "its volume")) == []
    assert play.delivery.reached.copies == ()


def test_safe_is_the_end() -> None:
    play = started(Play(SIX))
    actions = play.stored(*play.targets)
    assert isinstance(actions[-1], Safe)
    with pytest.raises(AssertionError):
        play.delivery.step((), play.now_s)
