"""Circuit breakers and budgets of retries, on a clock and a chance of the test's own."""

from random import Random

from nodeagent.core.breaker import Breaker, Breakers, BreakerSettings, RetryBudget, State

RNG = Random(7)
SETTINGS = BreakerSettings(failures=3, open_s=1.0, open_s_max=8.0)


def opened(at_s: float = 0.0) -> Breaker:
    breaker = Breaker(SETTINGS)
    for _ in range(3):
        breaker.failed("UNREACHABLE", at_s, RNG)
    return breaker


def test_it_opens_after_failures_in_a_row_only() -> None:
    breaker = Breaker(SETTINGS)
    for _ in range(5):
        breaker.failed("STALLED", 0.0, RNG)
        breaker.failed("STALLED", 0.0, RNG)
        breaker.succeeded()
    assert breaker.allows(0.0)
    assert opened().state(0.0) is State.OPEN


def test_an_open_one_is_left_alone_and_then_tried_once() -> None:
    breaker = opened()
    assert not breaker.allows(0.49)
    assert breaker.state(1.0) is State.HALF_OPEN
    assert breaker.allows(1.0)
    breaker.tries(1.0)
    assert not breaker.allows(1.1)
    breaker.succeeded()
    assert breaker.state(1.2) is State.CLOSED


def test_a_trial_of_which_nothing_is_heard_bars_nobody_for_ever() -> None:
    breaker = opened()
    breaker.tries(1.0)
    assert breaker.allows(1.0 + SETTINGS.open_s_max)


def test_each_trial_that_fails_doubles_the_pause_up_to_a_bound() -> None:
    breaker, now_s, pauses_s = opened(), 0.0, []
    for _ in range(8):
        began_s = now_s
        while not breaker.allows(now_s):
            now_s += 0.01
        pauses_s.append(now_s - began_s)
        breaker.tries(now_s)
        breaker.failed("UNREACHABLE", now_s, RNG)
    for turn, pause_s in enumerate(pauses_s):
        bound_s = min(8.0, 2.0**turn)
        assert bound_s / 2 - 0.02 <= pause_s <= bound_s + 0.02


def test_failures_that_were_under_way_when_it_opened_change_nothing() -> None:
    breaker = opened()
    for _ in range(20):
        breaker.failed("UNREACHABLE", 0.1, RNG)
    assert breaker.allows(1.0)


def test_those_that_opened_together_come_back_apart() -> None:
    free_s = set()
    for _ in range(20):
        breaker, now_s = opened(), 0.0
        while not breaker.allows(now_s):
            now_s += 0.001
        free_s.add(round(now_s, 3))
    assert len(free_s) > 10


def test_many_names_have_one_each() -> None:
    breakers = Breakers(SETTINGS)
    for _ in range(3):
        breakers.failed("a", "NO_ROOM", 0.0, RNG)
    breakers.failed("b", "NO_ROOM", 0.0, RNG)
    assert list(breakers.unfit(0.1)) == ["a"]
    assert "NO_ROOM" in breakers.unfit(0.1)["a"]
    assert breakers.states(0.1) == {"a": State.OPEN, "b": State.CLOSED}
    breakers.succeeded("a")
    assert not breakers.unfit(0.1)


def test_a_budget_of_retries_follows_what_goes_well() -> None:
    budget = RetryBudget(share=0.5, most=2.0, tokens=2.0)
    assert [budget.take() for _ in range(3)] == [True, True, False]
    budget.succeeded()
    assert not budget.take()
    budget.succeeded()
    assert budget.take()
    for _ in range(100):
        budget.succeeded()
    assert [budget.take() for _ in range(3)] == [True, True, False]
