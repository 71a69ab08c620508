"""A trace as a person sees it: nested, on one time line, with waits hatched and errors marked."""

from typing import Any

from mcctl.trace_show import BAR_CHARS, screen
from mcctl.trace_tree import trees, walk
from multicloud.v1 import insight_pb2

MS = 1_000_000
TRACE = "ab" * 16


def span(
    span_id: str, parent: str, name: str, start_ms: int, end_ms: int, **more: Any
) -> insight_pb2.Span:
    facts = {key: str(value) for key, value in more.pop("facts", {}).items()}
    return insight_pb2.Span(
        trace_id=TRACE,
        span_id=span_id,
        parent_id=parent,
        name=name,
        start_unix_ns=start_ms * MS,
        end_unix_ns=end_ms * MS,
        attributes=facts,
        **{"node": "aws-a", "cloud": "aws", **more},
    )


def hops() -> list[insight_pb2.Span]:
    return [
        span("3", "2", "ChunkService/PutChunk", 5020, 5070, node="gcp-a", cloud="gcp"),
        span("1", "", "chunk", 0, 100),
        span("2", "1", "chunk.send", 10, 90, facts={"peer": "id-of-gcp", "waited_s": 0.04}),
        span("4", "3", "chunk.relay", 5021, 5069, node="gcp-a", cloud="gcp", error="disk full"),
    ]


def drawn(found: insight_pb2.GetTraceResponse) -> list[str]:
    blocks = screen(found, {"id-of-gcp": "gcp-a"})
    (table,) = [block for block in blocks if hasattr(block, "rows")]
    return ["|".join(getattr(cell, "text", cell) for cell in row) for row in table.rows]


def test_spans_stand_below_their_parents_without_the_calls_around_them() -> None:
    (root,) = trees(hops())
    names = [(branch, twig.span.name) for branch, twig in walk(root)]
    assert names == [("", "chunk"), ("└ ", "chunk.send"), ("  └ ", "chunk.relay")]


def test_a_clock_that_is_ahead_does_not_draw_a_hop_after_the_end() -> None:
    (root,) = trees(hops())
    relay = root.children[0].children[0]
    assert 10 * MS <= relay.start_ns <= relay.start_ns + relay.took_ns <= 90 * MS


def test_a_line_says_who_was_sent_to_how_long_and_how_much_of_it_was_waiting() -> None:
    lines = drawn(insight_pb2.GetTraceResponse(spans=hops()))
    assert lines[1].startswith("└ send →gcp-a|aws-a|aws|80.0|")
    bar = lines[1].rpartition("|")[2].strip()
    assert bar == "█" * (len(bar) // 2) + "░" * (len(bar) // 2)
    assert "!relay|gcp-a|gcp|48.0|" in lines[2]
    assert all(len(line) <= 79 for line in lines)
    assert len(lines[0].rpartition("|")[2]) == BAR_CHARS


def test_many_calls_alike_are_one_line() -> None:
    calls = [span(f"c{n}", "1", "CouncilService/Prepare", n, n + 2) for n in range(9)]
    lines = drawn(insight_pb2.GetTraceResponse(spans=[span("1", "", "job.submit", 0, 50), *calls]))
    assert len(lines) == 2
    assert "CouncilService/Prepare ×9|" in lines[1]


def test_a_span_whose_parent_nobody_remembers_is_a_root_of_its_own() -> None:
    roots = trees([span("2", "1", "chunk.send", 10, 90), span("9", "8", "chunk.repair", 500, 600)])
    assert [root.span.name for root in roots] == ["chunk.send", "chunk.repair"]
