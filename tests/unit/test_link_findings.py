"""What `mcctl check` finds about each other node, by the state that it is in."""

import pytest

from coordinator.types import Knowing
from multicloud.v1 import admin_pb2, common_pb2
from nodeagent.rpc.checks import links
from nodeagent.rpc.roster import Roster

WARNING, ERROR, OK = (
    admin_pb2.SEVERITY_WARNING,
    admin_pb2.SEVERITY_ERROR,
    admin_pb2.SEVERITY_OK,
)


def found(
    knowing: Knowing | None, unanswered: dict[str, str] | None = None
) -> list[tuple[str, int]]:
    own = common_pb2.NodeFacts(id="01", name="a")
    roster = Roster(own, lambda _: knowing)
    roster.peer("02").facts = common_pb2.NodeFacts(id="02", name="b")
    listed = list(links(roster, unanswered or {}))
    assert all(one.next for one in listed if one.severity != OK)
    return [(one.code, one.severity) for one in listed]


@pytest.mark.parametrize(
    ("knowing", "finding"),
    [
        (Knowing.ALIVE, [("LINK_OK", OK)]),
        (Knowing.SUSPECT, [("LINK_SILENT", WARNING)]),
        (Knowing.UNREACHABLE, [("LINK_BROKEN", ERROR)]),
        (Knowing.DOWN, [("NODE_LOST", ERROR)]),
        (Knowing.DEAD, [("NODE_LOST", ERROR)]),
        (Knowing.LEFT, [("LINK_LEFT", WARNING)]),
        (Knowing.REMOVED, []),
        (None, [("LINK_BROKEN", ERROR)]),
    ],
)
def test_each_state_is_judged(knowing: Knowing | None, finding: list[tuple[str, int]]) -> None:
    assert found(knowing) == finding


def test_an_address_that_does_not_answer_is_an_error_only_while_nobody_is_met() -> None:
    silent = {"10.0.0.9:7443": "nothing listens there"}
    assert ("JOIN_UNANSWERED", WARNING) in found(Knowing.ALIVE, silent)
    assert ("JOIN_UNANSWERED", ERROR) in found(Knowing.DEAD, silent)
