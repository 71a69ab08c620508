"""What a node measures of others and tells of it: late is not far, and small is not news."""

import math
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from coordinator.distance import LatencySettings, Stamps
from coordinator.latency import Latency
from coordinator.types import Coordinate, Domain

HERE = Domain("aws", "us-east-1", "a")
THERE = Domain("gcp", "us-central1", "b")
PEER = "00000000000000bb"
SETTINGS = LatencySettings()

distances_ms = st.floats(0.01, 400)
delays_ms = st.floats(0, 2000)


def latency(seed: int = 1) -> Latency:
    return Latency(HERE, Random(seed))


def base_ms(one: Latency, now_s: float = 10.0) -> float:
    found = one.measured(PEER, now_s)
    assert found is not None
    return found.ms


def samples(one: Latency, peer: str, domain: Domain, rtt_ms: float, now_s: float) -> None:
    """As many as it takes to be told."""
    for _ in range(SETTINGS.publish_samples):
        assert one.sample(peer, domain, rtt_ms, now_s)


def stamps(
    rtt_ms: float, held_ms: float = 0, here_ms: float = 0, there_ms: float = 0, at_s: float = 10
) -> Stamps:
    came_s = at_s + (rtt_ms + held_ms) / 1000
    return Stamps(at_s, came_s, held_ms / 1000, here_ms / 1000, there_ms / 1000)


@given(distances_ms, st.lists(delays_ms, min_size=1, max_size=9))
def test_what_a_busy_loop_adds_never_raises_the_base(true_ms: float, added: list[float]) -> None:
    one = latency()
    for extra_ms in [*added, 0.0]:
        one.sample(PEER, THERE, true_ms + extra_ms, 10)
    assert math.isclose(base_ms(one), true_ms)


@given(distances_ms, st.floats(0, 2000), st.floats(0, 1000))
def test_what_the_other_side_held_is_service_and_not_distance(
    true_ms: float, held_ms: float, at_s: float
) -> None:
    one = latency()
    assert one.answered(PEER, THERE, stamps(true_ms, held_ms, at_s=at_s), 10)
    found = one.measured(PEER, 10)
    assert found is not None
    assert math.isclose(found.ms, true_ms, abs_tol=1e-6)
    assert math.isclose(found.service_ms, held_ms, abs_tol=1e-9)


@given(distances_ms, st.floats(5.1, 3000), st.booleans())
def test_a_late_loop_on_either_side_changes_no_distance(
    true_ms: float, lag_ms: float, here: bool
) -> None:
    one = latency()
    one.sample(PEER, THERE, true_ms, 10)
    late = {"here_ms": lag_ms} if here else {"there_ms": lag_ms}
    # Late stamps err both ways: a sent stamp taken late even makes the way look shorter.
    for seeming_ms in (true_ms / 10, true_ms + lag_ms):
        assert not one.answered(PEER, THERE, stamps(seeming_ms, **late), 10)
    assert base_ms(one) == true_ms


def test_a_lag_counts_by_its_share_of_what_is_measured() -> None:
    assert stamps(100, here_ms=4.9).rtt_ms(SETTINGS) is not None
    assert stamps(100, here_ms=5.1).rtt_ms(SETTINGS) is None
    assert stamps(10, there_ms=2.1).rtt_ms(SETTINGS) is None
    assert stamps(0.2, there_ms=0.9).rtt_ms(SETTINGS) is not None, "no loop is that punctual"
    assert stamps(0.2, there_ms=1.1).rtt_ms(SETTINGS) is None


@given(st.sampled_from([0.0, -1.0, -1e9, 10_001.0, 1e300, math.nan, math.inf, -math.inf]))
def test_what_can_be_no_round_trip_is_left_out(impossible_ms: float) -> None:
    one = latency()
    one.sample(PEER, THERE, 20, 10)
    one.kernel(PEER, 19.5, 10)
    before = one.coordinate
    coordinate = Coordinate((1.0,) * 8, 1.0, 0.5)
    assert not one.sample(PEER, THERE, impossible_ms, 10, coordinate)
    assert not one.kernel(PEER, impossible_ms, 10)
    assert base_ms(one) == 19.5
    assert one.coordinate == before


def test_a_stepped_clock_or_a_lying_hold_measures_nothing() -> None:
    one = latency()
    for broken in (
        Stamps(sent_s=100, received_s=40),
        Stamps(sent_s=10, received_s=10.1, held_s=3600),
        Stamps(sent_s=10, received_s=10.1, held_s=-0.05),
        Stamps(sent_s=10, received_s=10.1, held_s=math.nan),
        Stamps(sent_s=-86400, received_s=10),
    ):
        assert not one.answered(PEER, THERE, broken, 10)
    assert one.measured(PEER, 10) is None


@given(
    st.lists(st.tuples(distances_ms, st.floats(0, 5)), min_size=1, max_size=30),
    st.sampled_from([-86400.0, 3600.0, 1e6]),
)
def test_only_differences_of_times_count(
    samples: list[tuple[float, float]], offset_s: float
) -> None:
    told = []
    for start_s in (1e6, 1e6 + offset_s):
        one, now_s = latency(), start_s
        for ms, later_s in samples:
            now_s += later_s
            one.sample(PEER, THERE, ms, now_s)
        told.append((one.own_rtts(now_s), base_ms(one, now_s)))
    assert told[0] == told[1]


def test_after_a_way_got_longer_ten_samples_forget_the_shorter_one() -> None:
    one = latency()
    for _ in range(30):
        one.sample(PEER, THERE, 20, 10)
    for count in range(1, SETTINGS.samples + 1):
        one.sample(PEER, THERE, 80, 10 + count)
        assert base_ms(one) == (20 if count < SETTINGS.samples else 80)


def test_the_kernel_is_believed_until_it_speaks_of_another_way() -> None:
    one = latency()
    one.sample(PEER, THERE, 101.5, 10)
    assert not one.kernel("00000000000000cc", 100, 10), "never sampled"
    one.kernel(PEER, 100.0, 10)
    direct = one.measured(PEER, 10)
    assert direct is not None
    assert (direct.ms, direct.judge) == (100.0, "kernel")

    behind_a_proxy = latency()
    behind_a_proxy.sample(PEER, THERE, 101.5, 10)
    behind_a_proxy.kernel(PEER, 0.05, 10)
    proxied = behind_a_proxy.measured(PEER, 10)
    assert proxied is not None
    assert (proxied.ms, proxied.judge) == (101.5, "application")


def test_a_kernel_that_is_above_the_application_is_not_nearer_the_truth() -> None:
    one = latency()
    one.sample(PEER, THERE, 20, 10)
    one.kernel(PEER, 60, 10)
    assert base_ms(one) == 20


def test_old_readings_of_the_kernel_and_old_samples_say_nothing() -> None:
    one = latency()
    one.sample(PEER, THERE, 101.5, 10)
    one.kernel(PEER, 100, 10)
    assert base_ms(one, 10 + SETTINGS.kernel_s_max) == 100
    assert base_ms(one, 11 + SETTINGS.kernel_s_max) == 101.5
    assert one.measured(PEER, 11 + SETTINGS.sample_s_max) is None
    assert one.own_rtts(11 + SETTINGS.sample_s_max) == {}


def test_the_first_samples_are_not_told_since_they_may_be_late() -> None:
    one = latency()
    for ms in (95.0, 31.0, 30.0):
        assert one.own_rtts(10) == {}
        one.sample(PEER, THERE, ms, 10)
    assert one.own_rtts(10) == {"gcp/us-central1": 30}


def test_a_place_is_told_by_its_nearest_node_and_the_own_region_by_zone() -> None:
    one = latency()
    samples(one, "b1", THERE, 22, 10)
    samples(one, "b2", THERE, 21, 10)
    samples(one, "a2", Domain("aws", "us-east-1", "b"), 0.9, 10)
    samples(one, "a1", HERE, 0.2, 10)
    samples(one, "c1", Domain("aws", "us-east-1"), 0.7, 10)
    assert one.own_rtts(10) == {
        "gcp/us-central1": 21,
        "aws/us-east-1/b": 0.9,
        "aws/us-east-1/a": 0.2,
        "aws/us-east-1": 0.7,
    }


@given(st.floats(0.1, 400), st.lists(st.floats(-0.049, 0.049), max_size=20))
def test_a_small_change_is_no_news(start_ms: float, changes: list[float]) -> None:
    one = latency()
    samples(one, PEER, THERE, start_ms, 0)
    told = one.own_rtts(0)
    for count, change in enumerate(changes, 1):
        now_s = count * (SETTINGS.sample_s_max + 1)  # What was before has grown old.
        samples(one, PEER, THERE, start_ms * (1 + change), now_s)
        assert one.own_rtts(now_s) is told


@given(st.floats(0.1, 400), st.sampled_from([-1, 1]))
def test_what_changed_enough_is_told(start_ms: float, sign: int) -> None:
    one = latency()
    samples(one, PEER, THERE, start_ms, 0)
    told_ms = one.own_rtts(0)["gcp/us-central1"]
    later_ms = start_ms + sign * max(1.01, start_ms * 0.0501)
    if later_ms > 0:
        now_s = SETTINGS.sample_s_max + 1
        samples(one, PEER, THERE, later_ms, now_s)
        assert one.own_rtts(now_s)["gcp/us-central1"] == later_ms != told_ms


def test_at_most_64_places_are_told_and_the_choice_is_steady() -> None:
    one = latency()
    for number in range(64):
        samples(one, f"n{number}", Domain("x", f"m{number:03}"), 10, 0)
    told = one.own_rtts(0)
    for number in range(100):
        samples(one, f"o{number}", Domain("x", f"a{number:03}"), 10, 0)
    assert len(told) == 64
    assert one.own_rtts(0) is told


def test_peers_are_bounded_and_the_longest_silent_one_gives_way() -> None:
    one = Latency(HERE, Random(1), LatencySettings(peers_max=3))
    for number in (1, 2, 3, 1, 4):
        one.sample(f"n{number}", THERE, 10, number)
    assert set(one.all_measured(10)) == {"n1", "n3", "n4"}
    one.forget("n1")
    assert one.measured("n1", 10) is None


def test_who_has_not_been_heard_for_long_costs_no_more_memory() -> None:
    one = latency()
    for number in range(1000):
        one.sample(f"n{number}", THERE, 20, number * 10.0)
    assert len(one._peers) <= SETTINGS.sample_s_max / 10 + 1


def test_a_peer_that_moved_is_measured_anew() -> None:
    one = latency()
    one.sample(PEER, THERE, 20, 10)
    samples(one, PEER, Domain("azure", "westeurope"), 90, 10)
    assert one.own_rtts(10) == {"azure/westeurope": 90}


@given(st.integers(0, 2**32), st.lists(distances_ms, min_size=1, max_size=40))
def test_the_same_seed_and_samples_give_the_same_coordinate(seed: int, all_ms: list[float]) -> None:
    ends = []
    for _ in range(2):
        one = latency(seed)
        for number, ms in enumerate(all_ms):
            one.sample(f"n{number % 5}", THERE, ms, number, Coordinate((0.0,) * 8, 0.01, 1.5))
        ends.append(one.coordinate)
    assert ends[0] == ends[1]
    restored = Latency(HERE, Random(9), saved=ends[0])
    assert restored.coordinate == ends[0]


def asked(one: Latency, others: dict[str, Domain], now_s: float) -> str | None:
    """Who is wanted now, when each is asked as often as it takes."""
    found = {one.wanted(others, now_s) for _ in range(SETTINGS.far_probes)}
    assert len(found) == 1
    return found.pop()


def test_whoever_is_wanted_next_stands_in_the_region_known_least() -> None:
    one = latency()
    tokyo, paris = Domain("azure", "japaneast"), Domain("gcp", "europe-west9")
    others = {"a2": HERE, "b1": THERE, "b2": THERE, "t1": tokyo, "p1": paris}
    one.sample("b1", THERE, 20, 10)
    one.sample("t1", tokyo, 150, 5)
    assert asked(one, others, 100) == "p1", "never measured"
    one.sample("p1", paris, 90, 101)
    assert asked(one, others, 102) == "t1", "longest ago"
    one.sample("t1", tokyo, 150, 103)
    assert asked(one, others, 104) in {"b1", "b2"}
    assert asked(one, others, 105) is None, "all is known"
    assert asked(one, others, 161) == "p1"
    assert one.wanted({"a2": HERE}, 300) is None


def test_all_nodes_of_a_region_are_wanted_in_turn() -> None:
    one = latency()
    others = {"b1": THERE, "b2": THERE}
    assert {asked(one, others, now_s * 100) for now_s in range(50)} == {"b1", "b2"}


def test_a_node_that_is_gone_is_wanted_no_more() -> None:
    one = latency()
    assert one.wanted({"b1": THERE}, 0) == "b1"
    assert one.wanted({"b2": THERE}, 100) == "b2"


@given(st.sets(st.integers(0, 19), max_size=19))
def test_regions_that_never_answer_keep_no_other_from_being_measured(mute: set[int]) -> None:
    one = latency()
    others = {f"n{number}": Domain("x", f"r{number % 20}") for number in range(60)}
    for now_s in range(20 * SETTINGS.far_probes):
        peer = one.wanted(others, now_s / 2)
        assert peer is not None
        if int(peer[1:]) % 20 not in mute:
            one.sample(peer, others[peer], 50, now_s / 2)
    assert len(one.own_rtts(40)) == 20 - len(mute)
