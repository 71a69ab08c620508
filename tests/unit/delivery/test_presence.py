"""What a delivery hears of members: who is there, with which volumes, and who is not."""

from dataclasses import replace

import pytest

from coordinator.types import Knowing, Member
from multicloud.v1 import common_pb2
from nodeagent.core.delivery_words import Away, Seen
from nodeagent.wire.delivering import presence
from tests.support.worlds import domain, member

HEALTHY, FULL = common_pb2.VOLUME_STATE_HEALTHY, common_pb2.VOLUME_STATE_FULL
FAILED = common_pb2.VOLUME_STATE_FAILED


def with_volumes(knowing: Knowing, **volumes: "common_pb2.VolumeState.ValueType") -> Member:
    one = member(1, domain("aws/us-east-1"), knowing=knowing)
    said = [common_pb2.VolumeFacts(uuid=uuid, state=state) for uuid, state in volumes.items()]
    assert one.facts
    more = common_pb2.NodeFacts(id=one.id, volumes=said).SerializeToString()
    return replace(one, facts=replace(one.facts, more=more))


@pytest.mark.parametrize("knowing", [Knowing.ALIVE, Knowing.SUSPECT])
def test_who_is_there_has_the_volumes_that_have_not_failed(knowing: Knowing) -> None:
    one = with_volumes(knowing, a=HEALTHY, b=FULL, c=FAILED)
    assert presence(one.id, one) == (Seen(one.id, frozenset({"a", "b"})),)


def test_who_has_not_said_anything_of_volumes_is_just_there() -> None:
    one = with_volumes(Knowing.ALIVE)
    assert presence(one.id, one) == (Seen(one.id, None),)


@pytest.mark.parametrize("knowing", [Knowing.DOWN, Knowing.DEAD, Knowing.LEFT])
def test_who_is_gone_for_now_is_away_and_its_volumes_stay(knowing: Knowing) -> None:
    one = with_volumes(knowing, a=HEALTHY)
    assert presence(one.id, one) == (Away(one.id, f"it is {knowing.name.lower()}"),)


def test_who_was_removed_has_no_volumes_any_more() -> None:
    one = with_volumes(Knowing.REMOVED, a=HEALTHY)
    seen, away = presence(one.id, one)
    assert seen == Seen(one.id, frozenset())
    assert isinstance(away, Away)


def test_who_cannot_be_judged_is_left_to_its_streams() -> None:
    one = with_volumes(Knowing.UNREACHABLE, a=HEALTHY)
    assert presence(one.id, one) == ()


def test_a_stranger_is_away() -> None:
    assert presence("ff", None) == (Away("ff", "it is no member"),)
