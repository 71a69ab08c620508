"""Rings: everyone computes the same, each way round, and no place watches a node alone."""

from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.rings import Rings

SHAPE = (8, 4, 5)
Standing = tuple[str, str]


def standing(sizes: list[int]) -> tuple[Standing, ...]:
    nodes = [(f"{p:08x}{i:08x}", f"c/r{p}") for p, size in enumerate(sizes) for i in range(size)]
    return tuple(sorted(nodes))


def built(members: tuple[Standing, ...]) -> Rings:
    rings = Rings(*SHAPE)
    become(rings, members)
    return rings


def become(rings: Rings, members: tuple[Standing, ...]) -> None:
    now = dict(members)
    for node in {*rings.members(), *now}:
        rings.put(node, now.get(node))


sizes = st.lists(st.integers(1, 25), min_size=1, max_size=6)


@given(sizes)
@settings(deadline=None, max_examples=60)
def test_whom_a_node_watches_are_exactly_those_it_observes(sizes: list[int]) -> None:
    members = standing(sizes)
    rings = built(members)
    for observer, _ in members:
        by_definition = {s for s, _ in members if observer in rings.observers(s)}
        assert rings.subjects(observer) == by_definition


@given(sizes, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_the_order_in_which_members_come_and_go_does_not_matter(
    sizes: list[int], rng: Random
) -> None:
    members = standing(sizes)
    rings = Rings(*SHAPE)
    for _ in range(3):
        become(rings, tuple(rng.sample(members, rng.randint(0, len(members)))))
    become(rings, members)
    fresh = built(members)
    for node, _ in members:
        assert rings.observers(node) == fresh.observers(node)


@given(sizes)
@settings(deadline=None, max_examples=60)
def test_a_node_has_as_many_observers_as_can_be_and_never_itself(sizes: list[int]) -> None:
    members = standing(sizes)
    rings = built(members)
    for node, _ in members:
        those = rings.observers(node)
        assert node not in those
        assert len(those) == len(set(those))
        if len(members) <= 9:
            assert len(those) == len(members) - 1


def test_half_of_the_observers_stand_elsewhere_where_there_is_an_elsewhere() -> None:
    members = standing([30, 30, 30])
    rings = built(members)
    places = dict(members)
    for node, place in members:
        those = rings.observers(node)
        assert len(those) == 8
        assert sum(places[o] == place for o in those) == 4


def test_the_watch_is_spread_over_all() -> None:
    members = standing([100, 100, 100])
    rings = built(members)
    load = Counter(o for node, _ in members for o in rings.observers(node))
    assert max(load.values()) <= 8 * 4


def test_one_leaving_changes_only_who_was_near_it() -> None:
    members = standing([100, 100])
    rings = built(members)
    before = {node: rings.observers(node) for node, _ in members}
    gone = members[0][0]
    rings.put(gone, None)
    changed = [node for node, _ in members[1:] if rings.observers(node) != before[node]]
    assert len(changed) <= 2 * 8 + 8
    assert all(gone in before[node] for node in changed)
