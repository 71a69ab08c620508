"""How the matrix of round-trip times looks."""

from itertools import permutations
from typing import Any

from mcctl.rtt import SHADES, matrix
from mcctl.show import Cell, Table


def pair(a: str, b: str, ms: float = 30.0, source: str = "measured") -> dict[str, Any]:
    return {"from": a, "to": b, "ms": ms, "source": source, "age_s": 1.0}


def test_many_columns_are_numbered_as_their_rows() -> None:
    names = [f"node-{letter}" for letter in "abcdefghij"]
    drawn = matrix([pair(a, b) for a, b in permutations(names, 2)])
    assert isinstance(drawn, Table)
    assert drawn.columns[1:3] == (">1", ">2")
    assert [row[0] for row in drawn.rows][:2] == ["1 node-a", "2 node-b"]


def test_far_is_darker_and_an_estimate_is_marked() -> None:
    drawn = matrix([pair("a", "b", 0.4), pair("b", "a", 250.0, "estimated")])
    assert isinstance(drawn, Table)
    assert drawn.rows[0][2] == Cell("0.4", SHADES[0][1])
    assert drawn.rows[1][1] == Cell("~250", SHADES[-1][1])


def test_nothing_is_shown_as_no_way_at_all() -> None:
    drawn = matrix([pair("a", "b", 0.005), pair("b", "a", 0.1)])
    assert isinstance(drawn, Table)
    assert [drawn.rows[0][2], drawn.rows[1][1]] == [
        Cell("<0.1", SHADES[0][1]),
        Cell("0.1", SHADES[0][1]),
    ]


def test_a_node_alone_has_no_pairs_and_says_so() -> None:
    assert "no pair" in str(matrix([]))
