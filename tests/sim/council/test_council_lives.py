"""Lives of a council: what registers promise holds in all, and planted bugs are found."""

import pytest

from tests.sim.council.history import Seen, violations
from tests.sim.council.life import Life
from tests.sim.council.planted import PLANTED

# Those that need a rare meeting of events; `make test-all` gives them the lives that it takes.
RARE = {
    "ballots without an epoch",
    "reads without writing back",
    "failed compares without writing back",
    "an empty disk answers for a lost one",
}


def test_registers_keep_their_promises_in_every_life() -> None:
    operations = epochs = 0
    for seed in range(150):
        life = Life(seed)
        assert life.run() == [], f"seed {seed}"
        operations += len(life.history)
        epochs += life.epochs_opened
    assert operations > 1800, "the lives were too quiet to prove anything"
    assert epochs > 300, "the members changed too seldom to prove anything"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_registers_keep_their_promises_in_twenty_thousand_lives() -> None:
    for seed in range(20_000):
        assert Life(seed).run() == [], f"seed {seed}"


def test_a_life_is_repeated_exactly() -> None:
    first, second = Life(7), Life(7)
    first.run()
    second.run()
    assert first.history == second.history
    assert first.history


@pytest.mark.parametrize("bug", [name for name in PLANTED if name not in RARE])
def test_a_planted_bug_is_found(bug: str) -> None:
    assert any(Life(seed, PLANTED[bug]).run() for seed in range(150))


@pytest.mark.slow
@pytest.mark.parametrize("bug", sorted(RARE))
def test_a_rare_planted_bug_is_found(bug: str) -> None:
    assert any(Life(seed, PLANTED[bug]).run() for seed in range(3000))


def seen(version: int, *, at_s: float, changed: bool = False, value: bytes = b"v") -> Seen:
    return Seen("k", at_s, at_s + 0.5, version, value, changed)


@pytest.mark.parametrize(
    "history",
    [
        [seen(1, at_s=1, changed=True), seen(1, at_s=2, changed=True)],
        [seen(1, at_s=1), seen(1, at_s=2, value=b"w")],
        [seen(2, at_s=1), seen(1, at_s=2)],
        [Seen("k", 1, 2, 1, b"mine", False, "mine")],
    ],
    ids=["made twice", "two values", "older after newer", "told that it failed"],
)
def test_the_checker_finds_what_no_register_could_have_said(history: list[Seen]) -> None:
    assert violations(history)
