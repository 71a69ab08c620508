"""The goals of the coordinator hold in every life: sizes, losses, and all that happens to nodes."""

import pytest

from coordinator.brain import Brain
from tests.sim.lives import LIVES

SMALL = sorted(set(LIVES) - {"split_10_min", "two_alone", "halves"})
# Three nodes in three regions: each region is one node, and no correlated loss is seen in one.
BY_THREE = sorted(set(SMALL) - {"split_1_min", "region_dead", "one_way_links"})
# What promises a time that a retransmission alone may take, or a quick restart amid redials.
LOSSY = sorted(set(SMALL) - {"rolling_restart", "repairs_start"})
LARGE = ["fifth_dead", "joins", "killed", "paused", "silent"]
HUGE = ["fifth_dead", "killed", "paused", "silent"]


def check(name: str, n: int, loss: float, seeds: range) -> None:
    for seed in seeds:
        assert LIVES[name](Brain, seed, n, loss) == [], f"{name}, n={n}, loss={loss}, seed={seed}"


@pytest.mark.parametrize("name", SMALL)
def test_ten_nodes_keep_the_goals(name: str) -> None:
    check(name, 10, 0.0, range(2))


@pytest.mark.parametrize("name", BY_THREE)
def test_three_nodes_keep_the_goals(name: str) -> None:
    check(name, 3, 0.0, range(2))


@pytest.mark.parametrize("name", SMALL)
def test_five_nodes_keep_the_goals(name: str) -> None:
    check(name, 5, 0.01, range(1))


@pytest.mark.parametrize("loss", [0.05, 0.15])
@pytest.mark.parametrize("name", LOSSY)
def test_lost_packets_break_no_goal(name: str, loss: float) -> None:
    if (name, loss) != ("split_1_min", 0.15):  # A goal of clean networks: heal within 15 s.
        check(name, 10, loss, range(1))


def test_two_nodes_call_each_other_unreachable_and_never_dead() -> None:
    check("two_alone", 2, 0.0, range(5))
    check("two_alone", 2, 0.15, range(5))


def test_halves_that_call_each_other_dead_become_one_again() -> None:
    check("halves", 20, 0.0, range(2))


def test_a_cut_of_ten_minutes_heals_without_a_repair() -> None:
    check("split_10_min", 6, 0.0, range(1))


@pytest.mark.parametrize("name", LARGE)
def test_a_hundred_nodes_keep_the_goals(name: str) -> None:
    check(name, 100, 0.01, range(1))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", HUGE)
def test_a_thousand_nodes_keep_the_goals(name: str) -> None:
    check(name, 1000, 0.0, range(1))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SMALL)
def test_many_seeds_keep_the_goals(name: str) -> None:
    check(name, 10, 0.0, range(100, 150))
