"""What a member's copies count for: it is here, in doubt, awaited, or gone for good."""

from types import SimpleNamespace
from typing import Any

import pytest

from coordinator.types import Domain, Knowing
from multicloud.v1 import common_pb2
from nodeagent.core.upkeep_tally import Presence
from nodeagent.upkeep.fellows import ClusterMembers

HOLD_S = 60.0
GOOD, BAD = common_pb2.VOLUME_STATE_FULL, common_pb2.VOLUME_STATE_FAILED


def members(knowing: Knowing, told: tuple[str, float] | None, now_s: float) -> ClusterMembers:
    facts = SimpleNamespace(domain=Domain("aws", "one"), draining=True, generation=7, more=b"")
    other: Any = SimpleNamespace(id="b", knowing=knowing, facts=facts)
    view: Any = SimpleNamespace(members={"b": other}, frozen=False)
    views: Any = SimpleNamespace(view=lambda: view)
    volumes = [
        common_pb2.VolumeFacts(uuid="good", state=GOOD),
        common_pb2.VolumeFacts(uuid="bad", state=BAD),
    ]
    peer = SimpleNamespace(facts=common_pb2.NodeFacts(volumes=volumes))
    roster: Any = SimpleNamespace(own=SimpleNamespace(id="a"), peers={"b": peer})
    lost = {"b": told} if told else {}
    return ClusterMembers(views, roster, dict, lost, HOLD_S, lambda: now_s, started_s=0.0)


@pytest.mark.parametrize(
    ("knowing", "told", "presence"),
    [
        (Knowing.ALIVE, None, Presence.HERE),
        (Knowing.SUSPECT, None, Presence.HERE),
        (Knowing.UNREACHABLE, None, Presence.DOUBTED),
        (Knowing.DOWN, ("node.down", 900.0), Presence.DOUBTED),
        (Knowing.DEAD, ("node.dead", 900.0), Presence.AWAITED),
        (Knowing.DEAD, ("node.gone", 900.0), Presence.GONE),
        (Knowing.LEFT, ("node.left", 990.0), Presence.AWAITED),
        (Knowing.LEFT, ("node.left", 900.0), Presence.GONE),
        (Knowing.LEFT, None, Presence.GONE),  # It had left before this node began.
        (Knowing.REMOVED, None, Presence.GONE),
    ],
)
def test_the_lost_are_waited_for_and_no_longer(
    knowing: Knowing, told: tuple[str, float] | None, presence: Presence
) -> None:
    standing = members(knowing, told, 1000.0).standings()["b"]
    assert standing.presence is presence


def test_copies_on_a_failed_volume_and_on_one_that_is_not_there_any_more_do_not_count() -> None:
    standing = members(Knowing.ALIVE, None, 1000.0).standings()["b"]
    assert [standing.counts(volume) for volume in ("good", "bad", "old")] == [True, False, False]
    assert (standing.draining, standing.generation) == (True, 7)


def test_who_has_just_begun_makes_nothing_anew() -> None:
    assert not members(Knowing.ALIVE, None, 1.0).begun()
    assert members(Knowing.ALIVE, None, HOLD_S).begun()
