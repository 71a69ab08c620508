"""The budget of bytes that wait in a node: who gets how much of it, and that it all comes back."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multicloud.errors import McError
from nodeagent.core.window import WINDOW_BYTES_MIN as LEAST
from nodeagent.wire.budget import WINDOW_BYTES_FIRST, Budget, Lease


@dataclass(frozen=True)
class Limits:
    bytes_in_flight_max: int = 20 * LEAST
    bytes_in_flight_per_peer_max: int = 12 * LEAST


def test_a_window_grows_only_while_half_of_the_budget_is_free() -> None:
    budget = Budget(Limits)
    with budget.lease("a") as one:
        assert one.size_bytes == WINDOW_BYTES_FIRST
        assert one.grow(100 * LEAST) == 6 * LEAST
        with budget.lease("b") as other:
            assert other.grow(100 * LEAST) == 4 * LEAST
            assert one.grow(100 * LEAST) == 6 * LEAST
    assert budget.used_bytes == 0


def test_the_next_stream_of_a_peer_begins_with_the_window_of_the_last() -> None:
    budget = Budget(Limits)
    with budget.lease("far") as one:
        one.learn(0.08, 5 * LEAST)
    with budget.lease("far") as again, budget.lease("near") as near:
        assert (again.size_bytes, again.pace.round_s) == (5 * LEAST, 0.08)
        assert near.size_bytes == WINDOW_BYTES_FIRST


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30), st.booleans()), max_size=60))
def test_no_peer_and_not_all_together_ever_hold_more_than_the_limits(
    acts: list[tuple[str, int, bool]],
) -> None:
    budget, limits = Budget(Limits), Limits()
    held: list[tuple[str, Lease]] = []
    for peer, size, ends in acts:
        if ends and held:
            held.pop(size % len(held))[1].__exit__()
            continue
        mine = sum(one.size_bytes for name, one in held if name == peer)
        left = limits.bytes_in_flight_max - budget.used_bytes
        if min(left, limits.bytes_in_flight_per_peer_max - mine) < LEAST:
            with pytest.raises(McError) as error:
                budget.lease(peer)
            assert error.value.reason == "TOO_BUSY"
            assert error.value.retry_after_s
            continue
        lease = budget.lease(peer)
        held.append((peer, lease))
        lease.grow(size * LEAST)
        lease.learn(0.1, size * LEAST)
        assert budget.used_bytes == sum(one.size_bytes for _, one in held)
        assert budget.used_bytes <= limits.bytes_in_flight_max
        for name in "abc":
            of = sum(one.size_bytes for who, one in held if who == name)
            assert of <= limits.bytes_in_flight_per_peer_max
    for _, lease in held:
        lease.__exit__()
    assert budget.used_bytes == 0


def test_a_lease_that_is_left_twice_gives_back_once() -> None:
    budget = Budget(Limits)
    with budget.lease("a") as one:
        pass
    with budget.lease("b"):
        one.__exit__()
        with pytest.raises(McError):
            _ = [budget.lease("b") for _ in range(30)]
