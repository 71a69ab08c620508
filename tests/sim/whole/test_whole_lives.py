"""Lives of whole clusters keep every promise, are repeated exactly, and find what is planted."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.whole.bugs import PLANTED
from tests.sim.whole.life import Life

ROOT = Path(__file__).resolve().parents[3]
FEW, MANY, PLANTED_MAX = 25, 2000, 100
# One of each class, found within a few lives; `make test-all` looks for all of them.
SOON = (
    "results are counted twice",
    "an outcome is decided twice",
    "the version is never told",
    "trims without asking",
    "two copies are thought enough",
    "nothing is ever collected",
)


def wrong(seeds: range) -> dict[int, list[str]]:
    lives = {seed: Life(seed).live() for seed in seeds}
    return {seed: complaints for seed, complaints in lives.items() if complaints}


def test_what_was_promised_is_kept_in_every_life() -> None:
    assert wrong(range(FEW)) == {}


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_what_was_promised_is_kept_in_thousands_of_lives() -> None:
    assert wrong(range(FEW, MANY)) == {}


def test_a_life_is_repeated_exactly() -> None:
    life, again, other = Life(3), Life(3), Life(4)
    assert life.live() == again.live()
    assert life.life_trace() == again.life_trace()
    other.live()
    assert other.life_trace() != life.life_trace()


def test_a_life_that_is_told_by_its_seed_is_the_same_in_every_process() -> None:
    command = [sys.executable, "-m", "tests.sim", "whole", "--seed", "3"]
    runs = [subprocess.run(command, cwd=ROOT, capture_output=True, text=True) for _ in range(2)]
    assert [run.returncode for run in runs] == [0, 0], runs[0].stderr
    assert "trace " in runs[0].stdout
    assert runs[0].stdout == runs[1].stdout


def found(bug: str, seeds: int) -> bool:
    return any(Life(seed, PLANTED[bug]).live() for seed in range(seeds))


@pytest.mark.parametrize("bug", SOON)
def test_a_planted_bug_is_found(bug: str) -> None:
    assert found(bug, 12)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_all_planted_bugs_but_one_at_most_are_found() -> None:
    missed = [bug for bug in PLANTED if not found(bug, PLANTED_MAX)]
    assert len(missed) <= 1, missed
