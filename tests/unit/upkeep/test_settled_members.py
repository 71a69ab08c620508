"""When missing copies may be made anew: not at the start, not while somebody may come back."""

from types import SimpleNamespace
from typing import Any

import pytest

from coordinator.types import Knowing
from nodeagent.upkeep.fellows import ClusterMembers

HOLD_S = 60.0


def members(knowing: Knowing, told: tuple[str, float] | None, now_s: float) -> ClusterMembers:
    other: Any = SimpleNamespace(id="b", knowing=knowing, facts=object())
    view: Any = SimpleNamespace(members={"b": other}, frozen=False)
    views: Any = SimpleNamespace(view=lambda: view)
    roster: Any = SimpleNamespace(own=SimpleNamespace(id="a"))
    lost = {"b": told} if told else {}
    return ClusterMembers(views, roster, dict, lost, HOLD_S, lambda: now_s, started_s=0.0)


@pytest.mark.parametrize(
    ("knowing", "told", "now_s", "settled"),
    [
        (Knowing.ALIVE, None, HOLD_S + 1, True),
        (Knowing.ALIVE, None, 1.0, False),  # Who has just begun knows too little.
        (Knowing.SUSPECT, None, 1000.0, False),
        (Knowing.UNREACHABLE, None, 1000.0, False),
        (Knowing.DOWN, ("node.down", 900.0), 1000.0, False),
        (Knowing.DEAD, ("node.dead", 900.0), 1000.0, False),
        (Knowing.DEAD, ("node.gone", 900.0), 1000.0, True),
        (Knowing.LEFT, ("node.left", 990.0), 1000.0, False),
        (Knowing.LEFT, ("node.left", 900.0), 1000.0, True),
        (Knowing.LEFT, None, 1000.0, True),  # It had left before this node began.
        (Knowing.REMOVED, None, 1000.0, True),
    ],
)
def test_the_lost_are_waited_for_and_no_longer(
    knowing: Knowing, told: tuple[str, float] | None, now_s: float, settled: bool
) -> None:
    assert members(knowing, told, now_s).settled() is settled
