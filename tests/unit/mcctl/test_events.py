"""How the tales of several nodes become one, and what makes two looks at nodes different."""

from mcctl import show
from mcctl.events import COLUMNS, fields, merged, table
from mcctl.watching import steady
from multicloud.v1 import insight_pb2

NAMES = {"01": "aws-a", "02": "gcp-a"}


def event(node: str, sequence: int, unix_ms: int, name: str = "node.down") -> insight_pb2.Event:
    facts = {"id": "02", "node": "02", "why": "its process is gone"}
    return insight_pb2.Event(node=node, sequence=sequence, unix_ms=unix_ms, name=name, facts=facts)


def test_tales_are_put_in_order_of_time_and_each_nodes_own_order_is_kept() -> None:
    told = {
        "02": [event("02", 1, 30), event("02", 2, 30)],
        "01": [event("01", 1, 10), event("01", 2, 40)],
    }
    found = [(e.node, e.sequence) for e in merged(told)]
    assert found == [("01", 1), ("02", 1), ("02", 2), ("01", 2)]


def test_an_event_names_who_saw_it_whom_it_is_about_and_why() -> None:
    found = fields(event("01", 7, 1_500), NAMES)
    assert found == {
        "time": "1970-01-01T00:00:01.500+00:00",
        "seen_by": "aws-a",
        "event": "node.down",
        "node": "gcp-a",  # The teller did not know the name yet; we do.
        "node_id": "02",
        "why": "its process is gone",
        "sequence": 7,
        "facts": {},
    }
    shown = table([found])
    assert isinstance(shown, show.Table)
    assert shown.columns == COLUMNS
    assert [str(getattr(cell, "text", cell)) for cell in shown.rows[0]][1:] == [
        *("aws-a", "node.down", "gcp-a", "its process is gone")
    ]


def test_of_a_node_that_nobody_can_name_the_id_is_shown() -> None:
    assert fields(event("03", 1, 1), {})["node"] == "02"
    assert fields(event("03", 1, 1), {})["seen_by"] == "03"


def test_a_look_at_a_node_differs_by_its_state_and_not_by_what_always_moves() -> None:
    before = {"name": "a", "state": "alive", "rtt_ms": 1.0, "silent_s": 0.1, "bytes_free": 5}
    assert steady(before) == steady({**before, "rtt_ms": 2.0, "silent_s": 0.3, "bytes_free": 6})
    assert steady(before) != steady({**before, "state": "down"})
