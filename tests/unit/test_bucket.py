"""Token buckets and backoff, as properties."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeagent.core.backoff import delay_s
from nodeagent.core.bucket import Buckets, TokenBucket

RATES = st.floats(0.1, 1000)
BURSTS = st.integers(1, 500)
STEPS = st.lists(st.floats(0, 10), max_size=200)


@given(RATES, BURSTS, STEPS)
def test_never_more_is_given_than_burst_plus_rate_times_time(
    rate: float, burst: int, steps: list[float]
) -> None:
    bucket, now_s, given_tokens = TokenBucket.full(rate, burst, 0.0), 0.0, 0
    for step in steps:
        now_s += step
        while bucket.take(now_s) == 0.0:
            given_tokens += 1
    assert given_tokens <= burst + rate * now_s + 1e-6 * (1 + len(steps))


@given(RATES, BURSTS, st.data())
def test_whoever_waits_as_told_is_served(rate: float, burst: int, data: st.DataObject) -> None:
    bucket, now_s = TokenBucket.full(rate, burst, 0.0), 0.0
    for _ in range(20):
        tokens = data.draw(st.integers(1, burst))
        wait_s = bucket.take(now_s, tokens)
        if wait_s > 0:
            now_s += wait_s * (1 + 1e-9) + 1e-9
            assert bucket.take(now_s, tokens) == 0.0


def test_a_refusal_takes_nothing() -> None:
    bucket = TokenBucket.full(1.0, 2.0, 0.0)
    assert bucket.take(0.0) == 0.0
    assert bucket.take(0.0, 2.0) == pytest.approx(1.0)
    assert bucket.take(0.0) == 0.0


def test_a_clock_that_goes_back_gives_nothing() -> None:
    bucket = TokenBucket.full(1.0, 1.0, 100.0)
    assert bucket.take(100.0) == 0.0
    assert bucket.take(50.0) > 0
    assert bucket.take(100.5) == pytest.approx(0.5)


def test_one_key_cannot_use_up_anothers_tokens() -> None:
    buckets = Buckets(1.0, 3.0, keys_max=10)
    assert [buckets.take("loud", 0.0) == 0.0 for _ in range(5)] == [True] * 3 + [False] * 2
    assert buckets.take("quiet", 0.0) == 0.0


@given(st.lists(st.integers(0, 50), max_size=300), st.integers(1, 10))
def test_the_set_is_bounded_and_forgets_the_one_unused_for_longest(
    keys: list[int], keys_max: int
) -> None:
    buckets, recent = Buckets(1e-6, 1.0, keys_max), list[int]()
    for key in keys:
        known = key in recent
        assert (buckets.take(str(key), 0.0) == 0.0) is not known
        recent = [k for k in recent if k != key] + [key]
        recent = recent[-keys_max:]
        assert len(buckets) == len(recent)


def test_new_limits_hold_at_once_for_known_keys() -> None:
    buckets = Buckets(1.0, 100.0, keys_max=10)
    assert buckets.take("a", 0.0) == 0.0
    buckets.reshape(2.0, 2.0, 0.0)
    assert [buckets.take("a", 0.0) for _ in range(3)] == [0.0, 0.0, pytest.approx(0.5)]


@given(st.integers(0, 10_000), st.floats(0.001, 1), st.floats(1, 60), st.integers())
def test_a_delay_stays_within_its_bound(
    attempt: int, base_s: float, most_s: float, seed: int
) -> None:
    delay = delay_s(attempt, Random(seed), base_s=base_s, delay_s_max=most_s)
    assert 0 <= delay <= min(most_s, base_s * 2.0 ** min(attempt, 64))


def test_delays_spread_over_the_whole_range() -> None:
    rng = Random(7)
    delays = [delay_s(3, rng, base_s=1.0, delay_s_max=60.0) for _ in range(2000)]
    assert min(delays) < 0.5
    assert max(delays) > 7.5
    assert 3.7 < sum(delays) / len(delays) < 4.3
