"""`mcctl node drain`: what it says while data moves away, and when the machine may go."""

import pytest

from mcctl.draining import Pace, Progress, line, seconds
from multicloud.errors import McError
from multicloud.v1 import common_pb2


def node(*, draining: bool = True, basis: int = 7, **left: object) -> common_pb2.Node:
    leaving = common_pb2.LeavingFacts(**left)  # type: ignore[arg-type]
    copies = common_pb2.CopiesFacts(basis=basis, leaving=leaving)
    facts = common_pb2.NodeFacts(name="gcp-a", draining=draining, copies=copies)
    return common_pb2.Node(facts=facts)


@pytest.mark.parametrize(
    ("text", "found"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("1d", 86400)]
)
def test_times_are_read_as_people_write_them(text: str, found: float) -> None:
    assert seconds(text) == found


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(McError, match="is no time"):
        seconds("soon")


def test_what_is_left_is_told_with_the_time_that_it_takes_and_what_is_in_the_way() -> None:
    found = Progress.of(node(chunks=12, bytes=3 << 20), "no room anywhere")
    assert line(found, 65.0) == (
        "gcp-a: 12 chunks, 3 MiB to bring elsewhere, about 1:05; waiting: no room anywhere"
    )


def test_nothing_is_told_as_left_before_the_node_has_counted() -> None:
    found = Progress.of(node(basis=0), "")
    assert not found.told
    assert found.fields()["chunks_left"] is None
    assert "being compared" in line(found, None)


def test_a_node_without_chunks_to_move_may_still_be_needed() -> None:
    found = Progress.of(node(waits=["it keeps the ledger of job j (d), which has not ended"]), "")
    assert not found.done
    assert "waiting: it keeps the ledger of job j" in line(found, None)
    assert Progress.of(node(done=True), "").done


def test_the_time_left_is_known_once_something_has_moved() -> None:
    pace = Pace()

    def left_s(size_bytes: int, now_s: float) -> float | None:
        return pace.left_s(Progress("gcp-a", told=size_bytes > 0, size_bytes=size_bytes), now_s)

    assert left_s(0, 0.0) is None, "it has not counted yet"
    assert left_s(100, 1.0) is None
    assert left_s(100, 2.0) is None
    assert left_s(50, 3.0) == pytest.approx(2.0)
    assert left_s(200, 4.0) is None, "there is more to do than before"
