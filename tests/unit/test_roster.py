"""What a node believes of another by what that one says of itself."""

import pytest

from multicloud.v1 import common_pb2
from nodeagent.rpc.roster import Roster


def facts(generation: int, revision: int = 0) -> common_pb2.NodeFacts:
    return common_pb2.NodeFacts(id="0" * 16, name="b", generation=generation, revision=revision)


@pytest.mark.parametrize("generation", [1, 3])
def test_a_node_that_left_is_back_with_another_generation(generation: int) -> None:
    """A higher one after a restart, a lower one after its disk was replaced."""
    roster = Roster(common_pb2.NodeFacts(id="a"), silent_s_max=1.0)
    peer = roster.heard(facts(2), 0.0)
    peer.left = True
    assert roster.state(roster.heard(facts(2), 0.1), 0.1) == common_pb2.NODE_STATE_LEFT
    heard = roster.heard(facts(generation), 0.2)
    assert roster.state(heard, 0.2) == common_pb2.NODE_STATE_ALIVE
    assert heard.facts == facts(generation)


def test_an_older_revision_of_the_same_life_is_no_news() -> None:
    roster = Roster(common_pb2.NodeFacts(id="a"), silent_s_max=1.0)
    roster.heard(facts(2, revision=5), 0.0)
    assert roster.heard(facts(2, revision=4), 0.1).facts == facts(2, revision=5)
