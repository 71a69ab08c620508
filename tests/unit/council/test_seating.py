"""Who should sit in the council."""

from collections import Counter

from coordinator.council.registers import Epoch, Seat
from coordinator.council.seating import Candidate, members_without, next_members
from coordinator.types import Domain


def candidate(
    name: str, cloud: str = "aws", *, sound: bool = True, gone: bool = False, volume: str = "v"
) -> Candidate:
    return Candidate(Seat(name, volume), Domain(cloud, f"{cloud}-1", name), sound, gone)


def six() -> list[Candidate]:
    clouds = ("aws", "gcp", "azure")
    return [candidate(f"{cloud}-{i}", cloud) for cloud in clouds for i in "ab"]


def founded(by: Candidate) -> Epoch:
    return Epoch(1, (by.seat,))


def test_one_grows_to_three_and_to_five_as_nodes_join() -> None:
    nodes = six()
    assert next_members(founded(nodes[0]), nodes[:2]) is None
    three = next_members(founded(nodes[0]), nodes[:3])
    assert three is not None
    assert len(three) == 3
    assert nodes[0].seat in three
    five = next_members(Epoch(2, three), nodes)
    assert five is not None
    assert len(five) == 5
    assert set(three) < set(five)
    assert next_members(Epoch(3, five), nodes) is None


def test_no_cloud_has_a_majority_where_three_clouds_exist() -> None:
    nodes = six()
    chosen = next_members(founded(nodes[0]), nodes)
    assert chosen is not None
    clouds = Counter(seat.node.split("-")[0] for seat in chosen)
    assert max(clouds.values()) == 2


def test_a_council_of_one_cloud_is_spread_when_others_come() -> None:
    old = [candidate(f"aws-{i}") for i in "abcde"]
    epoch = Epoch(2, tuple(c.seat for c in old))
    assert next_members(epoch, old) is None
    nodes = [*old, candidate("gcp-a", "gcp"), candidate("azure-a", "azure")]
    steps = 0
    while (chosen := next_members(epoch, nodes)) is not None:
        assert len(set(chosen) & set(epoch.members)) >= 3
        epoch, steps = Epoch(epoch.number + 1, chosen), steps + 1
        assert steps < 5
    assert Counter(s.node.split("-")[0] for s in epoch.members)["aws"] <= 3


def test_whoever_is_merely_away_keeps_the_seat_and_whoever_is_gone_does_not() -> None:
    nodes = six()
    five = next_members(founded(nodes[0]), nodes)
    assert five is not None
    epoch = Epoch(2, five)
    lost = five[0]
    away = [c if c.seat != lost else candidate(lost.node, sound=False) for c in nodes]
    assert next_members(epoch, away) is None
    gone = [c for c in nodes if c.seat != lost] + [
        Candidate(lost, Domain("aws", "aws-1"), False, True)
    ]
    chosen = next_members(epoch, gone)
    assert chosen is not None
    assert lost not in chosen
    assert len(set(chosen) - set(five)) == 1


def test_a_node_that_lost_its_disk_is_somebody_else() -> None:
    nodes = six()
    five = next_members(founded(nodes[0]), nodes)
    assert five is not None
    lost = five[0]
    wiped = [c for c in nodes if c.seat != lost] + [
        candidate(lost.node, lost.node.split("-")[0], volume="new")
    ]
    chosen = next_members(Epoch(2, five), wiped)
    assert chosen is not None
    assert lost not in chosen


def test_nobody_goes_on_when_a_majority_is_lost() -> None:
    nodes = six()
    five = next_members(founded(nodes[0]), nodes)
    assert five is not None
    left = [c for c in nodes if c.seat not in five[:3]]
    assert next_members(Epoch(2, five), left) is None


def test_whoever_goes_for_good_is_replaced_first_or_the_council_gets_smaller() -> None:
    nodes = six()
    five = next_members(founded(nodes[0]), nodes)
    assert five is not None
    epoch = Epoch(2, five)
    without = members_without(epoch, nodes, five[0].node)
    assert len(without) == 5
    assert set(five[1:]) < set(without)
    assert len(members_without(epoch, [c for c in nodes if c.seat in five], five[0].node)) == 3
    assert members_without(founded(nodes[0]), nodes[:2], nodes[0].seat.node) == (nodes[1].seat,)
    assert members_without(founded(nodes[0]), nodes[:1], nodes[0].seat.node) == ()


def test_a_seat_is_handed_to_those_who_are_sound_now() -> None:
    epoch = Epoch(2, tuple(c.seat for c in six()[:3]))
    nodes = [candidate(c.seat.node, sound=c.seat.node != "gcp-a") for c in six()[:4]]
    assert [s.node for s in members_without(epoch, nodes, "aws-a")] in (["aws-b"], ["gcp-b"])
