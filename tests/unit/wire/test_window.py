"""How a window follows distance and pace, on a line with virtual time."""

from collections import deque

import pytest

from nodeagent.core.chunk.layout import FRAME_SEALED_BYTES_MAX
from nodeagent.core.window import ROUND_S_MIN, WINDOW_BYTES_MIN, Window

MIB = 1 << 20


def sent_over(
    rtt_s: float, pace_bytes_s: float, *, frames: int = 200, most: int = 1 << 40
) -> tuple[Window, float]:
    """A sender so far away that makes frames at that pace; the window, and how long it took."""
    window = Window(WINDOW_BYTES_MIN)
    now_s, credit, sent, ready_s = 0.0, 0, 0, 0.0
    to_sender: deque[tuple[float, int]] = deque([(rtt_s / 2, window.open(0.0))])
    to_here: deque[tuple[float, int]] = deque()
    while window.arrived < frames * MIB + 74:
        times = [queue[0][0] for queue in (to_sender, to_here) if queue]
        size = 74 if not sent else MIB
        if sent < frames * MIB + 74 and credit >= size:
            times.append(ready_s)
        now_s = max(now_s, min(times))
        while to_sender and to_sender[0][0] <= now_s:
            credit += to_sender.popleft()[1]
        while sent < frames * MIB + 74 and credit >= (size := MIB if sent else 74):
            if ready_s > now_s:
                break
            credit, sent = credit - size, sent + size
            ready_s = now_s + size / pace_bytes_s
            to_here.append((now_s + rtt_s / 2, size))
        while to_here and to_here[0][0] <= now_s:
            size = to_here.popleft()[1]
            assert window.arrive(size, now_s)
            window.take(size)
            wanted = window.wanted_bytes(now_s)
            window.size_bytes = max(window.size_bytes, min(wanted, most))
            if grant := window.grant():
                to_sender.append((now_s + rtt_s / 2, grant))
    return window, now_s


def test_a_near_sender_keeps_a_small_window() -> None:
    window, _ = sent_over(0.001, 500 * MIB)
    assert window.size_bytes < 3 * ROUND_S_MIN * 500 * MIB


def test_a_far_sender_gets_the_window_that_its_way_holds() -> None:
    window, took_s = sent_over(0.08, 500 * MIB)
    assert window.size_bytes >= 0.08 * 500 * MIB
    assert took_s < 200 / 500 + 10 * 0.08


def test_a_far_and_slow_sender_needs_no_large_one() -> None:
    window, _ = sent_over(0.08, 10 * MIB)
    assert window.size_bytes < 2 * WINDOW_BYTES_MIN


def test_a_budget_that_is_spent_holds_the_window_down() -> None:
    window, took_s = sent_over(0.08, 500 * MIB, most=4 * MIB)
    assert window.size_bytes <= 4 * MIB
    assert took_s == pytest.approx(200 / 4 * 0.08, rel=0.5)


def test_whatever_was_taken_the_sender_can_send_the_largest_frame() -> None:
    window = Window(WINDOW_BYTES_MIN)
    window.open(0.0)
    for size in [74, 1, 4096, FRAME_SEALED_BYTES_MAX, MIB, FRAME_SEALED_BYTES_MAX, 37] * 20:
        assert window.sender_may_send
        assert window.arrive(size, 1.0)
        window.take(size)
        window.grant()
    assert window.granted - window.arrived <= WINDOW_BYTES_MIN


def test_more_than_was_granted_is_noticed() -> None:
    window = Window(WINDOW_BYTES_MIN)
    window.open(0.0)
    assert window.arrive(WINDOW_BYTES_MIN, 0.1)
    assert not window.arrive(1, 0.1)
