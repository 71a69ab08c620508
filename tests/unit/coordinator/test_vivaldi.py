"""Vivaldi finds places whose distances are the measured ones, and survives what peers may send."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.types import Coordinate
from coordinator.vivaldi import Vivaldi, VivaldiSettings, estimate_ms

SETTINGS = VivaldiSettings()
NOBODY = Coordinate((0.0,) * 8, 0.01, 1.5)


Point = tuple[float, float, float]  # On a plane, and the delay of its own access.


def true_ms_of(points: list[Point]) -> list[list[float]]:
    return [[math.dist(a[:2], b[:2]) + a[2] + b[2] for b in points] for a in points]


def run(nodes: list[Vivaldi], points: list[Point], rng: Random, rounds: int) -> None:
    true_ms = true_ms_of(points)
    for _ in range(rounds):
        for here, node in enumerate(nodes):
            there = rng.choice([n for n in range(len(nodes)) if n != here])
            seen_ms = true_ms[here][there] * rng.uniform(1.0, 1.1)
            node.observe(str(there), nodes[there].coordinate, seen_ms)


def settled(seed: int, rounds: int = 300) -> tuple[list[Vivaldi], list[Point], Random]:
    """Twelve nodes that have measured each other for a while."""
    rng = Random(seed)
    points = [(rng.uniform(0, 150), rng.uniform(0, 150), rng.uniform(0.1, 5)) for _ in range(12)]
    nodes = [Vivaldi(Random(f"{seed}/{number}")) for number in range(len(points))]
    run(nodes, points, rng, rounds)
    return nodes, points, rng


def errors(nodes: list[Vivaldi], points: list[Point]) -> list[float]:
    true_ms = true_ms_of(points)
    pairs = [(a, b) for a in range(len(nodes)) for b in range(a)]
    return sorted(
        abs(estimate_ms(nodes[a].coordinate, nodes[b].coordinate) - true_ms[a][b]) / true_ms[a][b]
        for a, b in pairs
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_learns_a_plane_with_access_delays(seed: int) -> None:
    nodes, points, _ = settled(seed)
    found = errors(nodes, points)
    assert found[len(found) // 2] < 0.05
    assert found[int(len(found) * 0.9)] < 0.15
    nodes, points, _ = settled(seed, rounds=2)
    assert errors(nodes, points)[len(found) // 2] > 0.3, "the measure can fail"


def test_the_same_seed_gives_the_same_places() -> None:
    assert [v.coordinate for v in settled(5)[0]] == [v.coordinate for v in settled(5)[0]]


def test_steps_grow_small_once_a_place_is_found() -> None:
    nodes, points, rng = settled(2, rounds=1200)
    before = [node.coordinate.position for node in nodes]
    run(nodes, points, rng, 1)
    after = [node.coordinate.position for node in nodes]
    assert 0 < sum(map(math.dist, before, after)) / len(nodes) < 0.15


def test_two_nodes_at_one_point_part_in_a_direction_that_the_seed_draws() -> None:
    places = []
    for seed in (1, 1, 2):
        node = Vivaldi(Random(seed))
        assert node.observe("b", NOBODY, 50.0)
        places.append(node.coordinate.position)
    assert places[0] == places[1] != places[2]
    assert math.dist(places[0], NOBODY.position) > 1


def test_a_saved_place_is_taken_up_again_and_a_spoilt_one_is_not() -> None:
    (node, *_), _, _ = settled(1)
    assert Vivaldi(Random(9), saved=node.coordinate).coordinate == node.coordinate
    spoilt = Coordinate((math.nan,) * 8, 1.0, 0.2)
    assert Vivaldi(Random(9), saved=spoilt).coordinate == Vivaldi(Random(9)).coordinate
    other_space = Coordinate((1.0,) * 3, 1.0, 0.2)
    assert Vivaldi(Random(9), saved=other_space).coordinate == Vivaldi(Random(9)).coordinate


def test_a_saved_place_is_not_shaken_by_the_first_samples_after_a_restart() -> None:
    nodes, points, rng = settled(1, rounds=1500)
    restarted = [Vivaldi(Random(9), saved=node.coordinate) for node in nodes]
    run(restarted, points, rng, 1)
    steps_ms = [
        math.dist(old.coordinate.position, new.coordinate.position)
        for old, new in zip(nodes, restarted, strict=True)
    ]
    assert 0 < sum(steps_ms) / len(steps_ms) < 0.15


def test_whoever_is_pushed_out_of_the_space_begins_anew() -> None:
    at_the_rim = Coordinate((9_999.0, *(0.0,) * 7), 1.0, 0.3)
    node = Vivaldi(Random(1), saved=at_the_rim)
    assert not node.observe("b", Coordinate((9_900.0, *(0.0,) * 7), 1.0, 0.3), 9_000.0)
    assert node.coordinate == Vivaldi(Random(1)).coordinate


numbers = st.floats(allow_nan=True, allow_infinity=True)
anything = st.builds(
    Coordinate,
    st.lists(numbers, min_size=7, max_size=9).map(tuple),
    numbers,
    numbers,
    numbers,
)


@given(st.lists(st.tuples(anything, numbers | st.floats(0.01, 400)), max_size=30))
def test_nothing_that_a_peer_sends_leaves_the_space(
    sent: list[tuple[Coordinate, float]],
) -> None:
    node = Vivaldi(Random(1))
    for coordinate, rtt_ms in sent:
        node.observe("b", coordinate, rtt_ms)
        own = node.coordinate
        assert all(map(math.isfinite, (*own.position, own.height_ms, own.error, own.adjustment_ms)))
        assert own.height_ms >= SETTINGS.height_ms_min
        assert 0 <= own.error <= SETTINGS.error_max


@pytest.mark.parametrize("rtt_ms", [0.0, -1.0, 10_001.0, math.nan, math.inf])
def test_an_impossible_time_moves_nothing(rtt_ms: float) -> None:
    node = Vivaldi(Random(1))
    assert not node.observe("b", NOBODY, rtt_ms)
    assert node.coordinate == Vivaldi(Random(1)).coordinate


def test_one_sample_in_five_may_be_late_without_a_step_aside() -> None:
    places = []
    for late_ms in (0.0, 500.0):
        node = Vivaldi(Random(1))
        for number in range(100):
            late = number % 5 == 4
            node.observe("b", Coordinate((90.0, *(0.0,) * 7), 1.0, 0.1), 60 + late_ms * late)
        places.append(node.coordinate)
    assert places[0] == places[1]


def test_a_node_that_moved_far_finds_its_new_place() -> None:
    nodes, points, rng = settled(4, rounds=1500)
    before = errors(nodes, points)
    points[0] = (600.0, 500.0, 1.0)
    assert errors(nodes, points)[-1] > 0.5
    run(nodes, points, rng, 600)
    assert errors(nodes, points)[int(len(before) * 0.9)] < 0.15
