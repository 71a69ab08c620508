"""The checker of registers tells true histories from those that no register could have made."""

from random import Random

import pytest

from tests.sim.linear import NEVER_S, Told, is_one_story, untrue


def change(
    begun_s: float, ended_s: float, expected: int, wanted: bytes, *, made: bool = True
) -> Told:
    told = expected + 1 if made else 0
    return Told("k", begun_s, ended_s, told, b"", expected, wanted, made)


def look(begun_s: float, ended_s: float, version: int, value: bytes) -> Told:
    return Told("k", begun_s, ended_s, version, value)


def lost(begun_s: float, expected: int, wanted: bytes) -> Told:
    return Told("k", begun_s, NEVER_S, expected=expected, wanted=wanted)


TRUE = {
    "one after another": [change(1, 2, 0, b"a"), look(3, 4, 1, b"a"), change(5, 6, 1, b"b")],
    "a look beside a change may see either": [
        change(1, 9, 0, b"a"), look(2, 3, 0, b""), look(4, 5, 1, b"a"),
    ],
    "a change without an answer was made": [lost(1, 0, b"a"), look(5, 6, 1, b"a")],
    "a change without an answer was made late": [
        lost(1, 0, b"a"), look(5, 6, 0, b""), look(7, 8, 1, b"a"),
    ],
    "a change without an answer was never made": [lost(1, 0, b"a"), look(5, 6, 0, b"")],
    "who came second was told what stands": [
        change(1, 4, 0, b"a"), Told("k", 2, 5, 1, b"a", 0, b"b"),
    ],
}  # fmt: skip
UNTRUE = {
    "made twice": [change(1, 2, 0, b"a"), change(3, 4, 0, b"b")],
    "two values of one version": [lost(1, 0, b"a"), look(2, 3, 1, b"a"), look(4, 5, 1, b"b")],
    "older after newer": [
        change(1, 2, 0, b"a"), change(3, 4, 1, b"b"), look(5, 6, 1, b"a"),
    ],
    "seen, then gone": [lost(1, 0, b"a"), look(2, 3, 1, b"a"), look(4, 5, 0, b"")],
    "a change that was answered is not seen": [change(1, 2, 0, b"a"), look(3, 4, 0, b"")],
    "told that it failed, and it stands": [
        Told("k", 1, 2, 0, b"", 0, b"a"), look(3, 4, 1, b"a"),
    ],
    "seen before it began": [look(1, 2, 1, b"a"), change(3, 4, 0, b"a")],
    "a value that nobody wrote": [look(1, 2, 1, b"?")],
    "two looks disagree on the order of two changes": [
        lost(0, 0, b"a"), lost(0, 1, b"b"), look(1, 2, 2, b"b"), look(3, 4, 1, b"a"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("history", TRUE.values(), ids=TRUE.keys())
def test_what_a_register_may_say_is_believed(history: list[Told]) -> None:
    assert is_one_story(history)


@pytest.mark.parametrize("history", UNTRUE.values(), ids=UNTRUE.keys())
def test_what_no_register_could_have_said_is_found(history: list[Told]) -> None:
    assert not is_one_story(history)


def a_true_history(seed: int, operations: int) -> list[Told]:
    """Many at once on one register; each happens at one moment of its time."""
    rng = Random(seed)
    version, value = 0, b""
    told: list[Told] = []
    at_s = 0.0
    for number in range(operations):
        at_s += rng.expovariate(1.0)
        begun_s, ended_s = at_s - rng.expovariate(0.5), at_s + rng.expovariate(0.5)
        if rng.random() < 0.4:
            told.append(look(begun_s, ended_s, version, value))
            continue
        expected, wanted = rng.choice((version, max(0, version - 1))), str(number).encode()
        made = expected == version
        if made:
            version, value = version + 1, wanted
        if rng.random() < 0.1:
            told.append(lost(begun_s, expected, wanted))
        else:
            told.append(Told("k", begun_s, ended_s, version, value, expected, wanted, made))
    return told


def test_long_histories_are_judged_and_one_lie_in_them_is_found() -> None:
    lies = found = 0
    for seed in range(40):
        history = a_true_history(seed, 60)
        assert is_one_story(history), seed
        place = next((p for p, t in enumerate(history) if t.version > 3 and not t.made), None)
        if place is not None:
            was = history[place]
            lie = Told("k", was.begun_s, was.ended_s, was.version, b"a lie", was.expected)
            lies += 1
            found += not is_one_story([*history[:place], lie, *history[place + 1 :]])
    assert lies > 20
    assert found == lies


def test_registers_are_judged_one_by_one_and_named() -> None:
    good = [change(1, 2, 0, b"a")]
    bad = [Told("bad", 1, 2, 7, b"?")]
    assert untrue(good) == []
    assert untrue([*good, *bad]) == ["bad: 1 operations are no one story"]
