"""When chunks are read again: young ones soon, all of them within the window, spread over it."""

from dataclasses import dataclass, replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from nodeagent.core.upkeep_schedule import YOUNG_S, due, due_unix_s, is_late, pace_bytes_per_s

WEEK_S = 7 * 24 * 3600.0
BORN = 1_800_000_000.0


@dataclass(frozen=True)
class Kept:
    chunk_id: bytes = bytes(32)
    file_bytes: int = 64 << 20
    stored_unix_s: float = BORN
    verified_unix_s: float = BORN


def test_a_young_chunk_is_read_after_an_hour_six_hours_and_a_day() -> None:
    kept, turns = Kept(), []
    for _ in range(4):
        turn = due_unix_s(kept, WEEK_S)
        turns.append(turn - BORN)
        kept = replace(kept, verified_unix_s=turn)
    assert tuple(turns[:3]) == YOUNG_S
    assert turns[3] > WEEK_S / 2


@given(st.binary(min_size=32, max_size=32), st.floats(0, 400 * 24 * 3600.0))
def test_the_next_turn_always_comes_before_the_window_ends(chunk_id: bytes, age_s: float) -> None:
    kept = Kept(chunk_id, verified_unix_s=BORN + age_s)
    assert 0 < due_unix_s(kept, WEEK_S) - kept.verified_unix_s <= 0.8 * WEEK_S


def test_what_was_stored_at_once_is_not_due_at_once() -> None:
    old = [
        Kept(Random(n).randbytes(32), stored_unix_s=BORN - WEEK_S, verified_unix_s=BORN)
        for n in range(1000)
    ]
    a_tenth_of_the_turns = BORN + 0.53 * WEEK_S
    assert 50 < len(due(old, a_tenth_of_the_turns, WEEK_S, 1000)) < 150


def test_a_chunk_whose_check_nobody_remembers_is_due_now() -> None:
    assert due([Kept(verified_unix_s=0.0)], BORN, WEEK_S, 1)


def test_the_most_overdue_come_first_and_no_more_than_asked_for() -> None:
    old = BORN - WEEK_S
    kept = [Kept(bytes(32), stored_unix_s=old, verified_unix_s=BORN + n) for n in range(10)]
    shuffled = Random(3).sample(kept, 10)
    assert due(shuffled, BORN + WEEK_S, WEEK_S, 3) == kept[:3]
    assert due(shuffled, BORN + 1, WEEK_S, 3) == []


def test_a_check_gives_way_until_the_window_is_in_danger() -> None:
    assert not is_late(Kept(), BORN + 0.89 * WEEK_S, WEEK_S)
    assert is_late(Kept(), BORN + 0.9 * WEEK_S, WEEK_S)


def test_the_window_goes_before_the_limit() -> None:
    assert pace_bytes_per_s(0, WEEK_S, 1000.0) == 1000.0
    much = 10**15
    assert pace_bytes_per_s(much, WEEK_S, 1000.0) * WEEK_S * 0.5 >= much
