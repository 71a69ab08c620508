"""The address book: what a node said of itself, by whichever way it came."""

import pytest

from coordinator.types import Domain, Facts, Knowing, Member, Record, View
from multicloud.v1 import common_pb2
from nodeagent.rpc.roster import Roster

OWN, OTHER = "0" * 15 + "1", "0" * 16


def facts(generation: int, revision: int = 0, **more: object) -> common_pb2.NodeFacts:
    return common_pb2.NodeFacts(
        id=OTHER, name="b", generation=generation, revision=revision, **more
    )


def book(knowing: Knowing | None = Knowing.ALIVE) -> Roster:
    return Roster(common_pb2.NodeFacts(id=OWN), lambda _: knowing)


@pytest.mark.parametrize("generation", [1, 3])
def test_another_generation_is_another_life(generation: int) -> None:
    """A higher one after a restart, a lower one after its disk was replaced."""
    roster = book()
    roster.heard(facts(2, revision=9), 0.0)
    assert roster.heard(facts(generation), 0.2).facts == facts(generation)


def test_an_older_revision_of_the_same_life_is_no_news() -> None:
    roster = book()
    roster.heard(facts(2, revision=5), 0.0)
    assert roster.heard(facts(2, revision=4), 0.1).facts == facts(2, revision=5)


@pytest.mark.parametrize(
    ("knowing", "draining", "state"),
    [
        (Knowing.ALIVE, False, common_pb2.NODE_STATE_ALIVE),
        (Knowing.ALIVE, True, common_pb2.NODE_STATE_DRAINING),
        (Knowing.DEAD, True, common_pb2.NODE_STATE_DEAD),
        (None, False, common_pb2.NODE_STATE_UNREACHABLE),
    ],
)
def test_the_state_is_what_the_brain_knows(
    knowing: Knowing | None, draining: bool, state: int
) -> None:
    roster = book(knowing)
    assert roster.state(roster.heard(facts(1, draining=draining), 0.0)) == state


def test_what_gossip_says_of_a_node_is_taken_unless_it_speaks_for_another() -> None:
    def view(said: common_pb2.NodeFacts) -> View:
        more = said.SerializeToString()
        own = Facts(OTHER, 1, 1, "b", Domain("aws", "r"), more=more)
        return View(OWN, {OTHER: Member(Record(OTHER, 1), Knowing.ALIVE, own, 0.0)})

    roster = book()
    roster.follow(view(facts(1, revision=2)))
    assert roster.peers[OTHER].facts == facts(1, revision=2)
    roster.follow(view(common_pb2.NodeFacts(id=OWN, name="forged")))
    assert roster.peers[OTHER].name == "b"
