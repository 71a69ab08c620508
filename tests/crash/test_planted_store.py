"""Every planted bug of the store is found by the points that the sound store passes."""

import pytest

from tests.crash.ground import Ground
from tests.crash.planted import BUGS, CUTS, Bug
from tests.crash.points import ALL, Effort, Found, Points
from tests.crash.scenes import SCENES

# Enough for each of them; what is sound passes more than this in test_points.py.
SEARCH = Effort(cuts=ALL, units_max=6, samples=30, reopened=25, again=1, failed=ALL, first=True)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
async def test_a_planted_bug_is_found(bug: Bug, ground: Ground, tally: Found) -> None:
    points = Points(ground, bug.files)
    scene = SCENES[bug.scene]
    found = await (points.power_cuts if bug.by == CUTS else points.faults)(scene, SEARCH)
    assert found.wrong
    tally.count["planted bugs found"] += 1


def test_there_are_enough_bugs_and_each_has_its_name() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 12
