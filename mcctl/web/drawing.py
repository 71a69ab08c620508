"""A trace as rows of a waterfall: who did what, when it began, how much it waited."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from mcctl.trace_show import by_trace, fields
from mcctl.trace_tree import Twig, trees, walk
from multicloud.v1 import insight_pb2


def drawn(found: insight_pb2.GetTraceResponse, names: Mapping[str, str]) -> dict[str, Any]:
    """`names`: of nodes, by id."""
    said = fields(found)
    ui = _web_address(found.ui)
    chunks = [{**one, "node": names.get(one["node"], one["node"])} for one in said["chunks"]]
    return {
        "chunks": [{**one, "link": _link(ui, one["trace_id"])} for one in chunks],
        "traces": [
            {
                "trace_id": trace_id,
                "link": _link(ui, trace_id),
                "rows": [row for root in trees(spans) for row in _rows(root, spans, names)],
            }
            for trace_id, spans in by_trace(found.spans).items()
        ],
        "unreachable": [names.get(node, node) for node in said["unreachable"]],
        "complete": said["complete"],
    }


def _rows(
    root: Twig, spans: list[insight_pb2.Span], names: Mapping[str, str]
) -> list[dict[str, Any]]:
    begin_ns = min(span.start_unix_ns for span in spans)
    return [
        {
            "depth": len(indent) // 2,
            "name": twig.span.name,
            "times": twig.times,
            "node": names.get(twig.span.node, twig.span.node),
            "cloud": twig.span.cloud or None,
            "start_ms": round(max(0, twig.start_ns - begin_ns) / 1e6, 3),
            "ms": round(twig.took_ns / 1e6, 3),
            "waited_share": round(twig.waited_share, 4),
            "error": twig.span.error or None,
        }
        for indent, twig in walk(root)
    ]


def _web_address(ui: str) -> str:
    """What a node calls a page is one only where a browser would ask a server for it."""
    return ui.rstrip("/") if urlsplit(ui).scheme in ("http", "https") else ""


def _link(ui: str, trace_id: str | None) -> str | None:
    return f"{ui}/trace/{trace_id}" if ui and trace_id else None
