"""Lives can fail: every bug planted in the brain is found, in a life that the true one stands."""

import pytest

from tests.sim.bugs import BUGS
from tests.sim.planted import Bug, brain_with, search


def test_every_bug_can_still_be_planted() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 12
    for bug in BUGS:
        brain_with(bug)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "_"))
def test_a_planted_bug_is_found(bug: Bug) -> None:
    assert search(bug) is not None
