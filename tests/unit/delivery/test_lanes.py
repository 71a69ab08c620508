"""How many connections to a peer: found on links as TCP meets them, and proof against noise."""

from random import Random
from statistics import mean

import pytest

from nodeagent.core.lanes import Climb, LaneSettings
from tests.unit.delivery.lossy_link import Link

FAR_S, PERIOD_S = 0.080, 1.0
MBIT = 1e6 / 8


def climbed(link: Link, samples: int = 400, streams: int = 16) -> tuple[Climb, list[int], float]:
    """The climb, the numbers it had in the second half, and what came of them."""
    climb, lanes, got = Climb(), [], []
    for at in range(samples):
        bytes_per_s = link.goodput(climb.lanes, PERIOD_S)
        if at >= samples // 2:
            lanes.append(climb.lanes)
            got.append(bytes_per_s)
        climb.sample(bytes_per_s, streams, link.round_s)
    return climb, lanes, mean(got)


def at_best(link: Link, lanes: int) -> float:
    return mean(link.goodput(lanes, PERIOD_S) for _ in range(200))


def test_the_link_of_the_tests_does_to_one_stream_what_a_real_one_does() -> None:
    lossless = at_best(Link(FAR_S, 0.0, 1000 * MBIT), 1)
    lossy = at_best(Link(FAR_S, 0.001, 1000 * MBIT), 1)
    assert lossless > 10 * lossy
    assert 3 * MBIT < lossy < 40 * MBIT  # 22 Mbit/s were measured.


@pytest.mark.parametrize("seed", range(5))
def test_over_a_lossy_way_it_takes_all_connections_that_it_may(seed: int) -> None:
    _, lanes, got = climbed(Link(FAR_S, 0.001, 1000 * MBIT, chance=Random(seed)))
    assert mean(lanes) > 7
    assert got > 0.85 * at_best(Link(FAR_S, 0.001, 1000 * MBIT, chance=Random(seed)), 8)


def test_it_is_there_within_a_minute() -> None:
    climb, link, periods = Climb(), Link(FAR_S, 0.001, 1000 * MBIT), 0
    while climb.lanes < 8:
        climb.sample(link.goodput(climb.lanes, PERIOD_S), 16, FAR_S)
        periods += 1
    assert periods * PERIOD_S <= 60


@pytest.mark.parametrize("seed", range(5))
def test_where_few_connections_fill_the_way_it_takes_few(seed: int) -> None:
    link = Link(FAR_S, 0.0001, 60 * MBIT, chance=Random(seed))
    _, lanes, got = climbed(link, samples=800)
    assert mean(lanes) < 4.5
    assert got > 0.8 * at_best(Link(FAR_S, 0.0001, 60 * MBIT, chance=Random(seed)), 4)


def test_small_socket_buffers_are_overcome() -> None:
    """Default buffers cap one stream at 46 MiB/s over 80 ms."""
    link = Link(FAR_S, 0.0, 4000 * MBIT, buffer_packets=46 * 2**20 * FAR_S / 1448)
    _, lanes, got = climbed(link)
    assert mean(lanes) > 7
    assert got > 6 * 46 * 2**20


def test_near_peers_stay_at_one_whatever_is_measured() -> None:
    climb, chance = Climb(), Random(1)
    for _ in range(200):
        assert climb.sample(chance.uniform(1e6, 1e9), 16, 0.0004) == 1


@pytest.mark.parametrize("seed", range(5))
def test_noise_alone_keeps_it_low(seed: int) -> None:
    """All numbers bring the same, and each sample is off by a fifth or more."""
    climb, chance, lanes = Climb(), Random(seed), []
    for _ in range(1000):
        lanes.append(climb.lanes)
        climb.sample(1e8 * chance.lognormvariate(0, 0.2), 16, FAR_S)
    assert mean(lanes[500:]) < 2.5


def test_lanes_that_no_stream_uses_are_not_tried() -> None:
    climb, link = Climb(), Link(FAR_S, 0.001, 1000 * MBIT)
    for _ in range(200):
        climb.sample(link.goodput(climb.lanes, PERIOD_S), 3, FAR_S)
        assert climb.lanes <= 3
    climb.sample(1e6, 1, FAR_S)
    assert climb.lanes <= 3


def test_a_way_that_gets_better_is_given_up_its_many_connections() -> None:
    climb, link = Climb(), Link(FAR_S, 0.001, 200 * MBIT)
    for _ in range(100):
        climb.sample(link.goodput(climb.lanes, PERIOD_S), 16, FAR_S)
    assert climb.lanes == 8
    for _ in range(2000):
        climb.sample(5e7, 16, FAR_S)
    assert climb.lanes <= 2


def test_the_bound_is_kept() -> None:
    climb = Climb(LaneSettings(lanes_max=6))
    assert max(climb.sample(1e6 * climb.lanes, 99, FAR_S) for _ in range(200)) == 6
