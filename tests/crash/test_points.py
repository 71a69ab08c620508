"""Whenever the power goes and whatever call fails: nothing that was acknowledged is lost, nothing
partial is visible, pins that were answered hold.
"""

import pytest

from tests.crash.ground import Ground
from tests.crash.points import FULL, QUICK, Effort, Found, Points
from tests.crash.scenes import SCENES

EFFORTS = pytest.mark.parametrize(
    "effort",
    [pytest.param(QUICK, id="some"), pytest.param(FULL, id="all", marks=pytest.mark.slow)],
)
NAMES = pytest.mark.parametrize("name", SCENES)


@EFFORTS
@NAMES
@pytest.mark.timeout(3600)
async def test_after_a_power_cut_at_any_call_all_that_was_told_is_true(
    name: str, effort: Effort, ground: Ground, tally: Found
) -> None:
    found = await Points(ground).power_cuts(SCENES[name], effort)
    tally.count += found.count
    assert not found.wrong, "\n".join(found.wrong[:20])
    assert found.count["reopened"]


@EFFORTS
@NAMES
@pytest.mark.timeout(3600)
async def test_a_call_that_fails_is_answered_and_costs_nothing_that_was_told(
    name: str, effort: Effort, ground: Ground, tally: Found
) -> None:
    found = await Points(ground).faults(SCENES[name], effort)
    tally.count += found.count
    assert not found.wrong, "\n".join(found.wrong[:20])
    assert found.count["calls failed"]
