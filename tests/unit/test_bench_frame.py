"""The frame of `make bench`: figures say what they are, and the comparison names what matters."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.bench import report
from tests.bench.frame import Goal, Row, not_run, number, row
from tests.bench.machine import Machine

HERE = Machine("some processor", 2, 24, "Linux 6.1", "3.11.7")


def stored(*rows: Row, machine: Machine = HERE) -> report.Stored:
    return report.stored({"start": rows}, machine, "2026-01-01")


def compared(before: Sequence[float], after: Sequence[float], *, more: bool = False) -> str:
    rows = [row("x", samples, "s", "", more_is_better=more) for samples in (before, after)]
    return "\n".join(report.compared(stored(rows[1]), stored(rows[0]), HERE))


def test_a_figure_is_the_median_with_its_spread_and_tells_whether_its_goal_is_met() -> None:
    found = row("start", [0.9, 0.5, 0.6], "s", "by hand", goal=Goal(0.7))
    assert (found.value, found.low, found.high, found.met) == (0.6, 0.5, 0.9, True)
    assert str(found) == "start: 0.600 s, 0.500 to 0.900 in 3; goal ≤ 0.700 s: met"
    worst = row("start", [0.9, 0.5, 0.6], "s", "by hand", at="max", goal=Goal(0.7))
    assert worst.met is False
    assert "0.900 s (max)" in str(worst)
    assert "MISSED" in str(worst)
    least = row("speed", [100.0, 80.0], "MiB/s", "", goal=Goal(95, most=False))
    assert least.met is False


def test_p99_is_a_value_that_was_seen() -> None:
    hundred = [float(n) for n in range(1, 201)]
    assert row("x", hundred, "ms", "", at="p99").value == 198
    assert row("x", hundred[:20], "ms", "", at="p99").value == 20


def test_what_was_not_run_has_no_figure_and_no_verdict() -> None:
    absent = not_run("serf", "s", "apt-get install serf", goal=Goal(1))
    nothing = row("x", [], "s", "nobody answered")
    assert [(r.value, r.met, r.figure) for r in (absent, nothing)] == [(None, None, "not run")] * 2
    text = report.table("watch", [absent], HERE, "today")
    assert "| serf | **not run** |  |  | ≤ 1 s |  | apt-get install serf |" in text
    assert stored(absent)["benches"] == {"start": {}}


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123456, "0.0123"), (1.0, "1"), (12.345, "12.3"), (123456.7, "123,457"), (0, "0")],
)
def test_numbers_have_three_digits_that_mean_something(value: float, text: str) -> None:
    assert number(value) == text


def test_only_what_is_worse_by_more_than_the_noise_is_named() -> None:
    assert "WORSE start: x: 1.10 to 1.50 s (1.36 times)" in compared([1, 1.1, 1.2], [1.4, 1.5, 1.6])
    assert "WORSE" not in compared([1, 1.1, 1.2], [1.15, 1.5, 1.6]), "the runs overlap"
    assert "WORSE" not in compared([1, 1.1, 1.2], [1.21, 1.25, 1.3]), "a share below a fifth"
    assert "WORSE" not in compared([1.4, 1.5, 1.6], [1, 1.1, 1.2]), "it is better"
    assert "WORSE" in compared([100, 110], [50, 60], more=True)
    assert "WORSE" not in compared([50, 60], [100, 110], more=True)


def test_a_figure_that_is_gone_is_named_and_other_machines_are_not_compared() -> None:
    before, after = stored(row("x", [1.0], "s", "")), stored(row("y", [1.0], "s", ""))
    assert "GONE start: x" in "\n".join(report.compared(after, before, HERE))
    other = Machine("another", 64, 512, "Linux 6.1", "3.11.7")
    assert "another machine" in "\n".join(report.compared(after, before, other))
    nothing = report.read(Path("/nowhere/baseline.json"))
    assert "no baseline" in "\n".join(report.compared(after, nothing, HERE))


def test_benches_that_did_not_run_keep_their_figures(tmp_path: Path) -> None:
    path = tmp_path / "last.json"
    report.write(path, report.stored({"start": [row("x", [1.0], "s", "")]}, HERE, "1"))
    report.write(path, report.stored({"calls": [row("y", [2.0], "s", "")]}, HERE, "2"))
    found = report.read(path)
    assert set(found["benches"]) == {"start", "calls"}
    other = Machine("another", 64, 512, "Linux 6.1", "3.11.7")
    report.write(path, report.stored({"links": []}, other, "3"))
    assert set(report.read(path)["benches"]) == {"links"}, "nothing of another machine is kept"
