"""How traces look in a terminal of 80 columns: a line for each span, its time drawn as a bar."""

from collections.abc import Sequence
from typing import Any

from mcctl.show import Block, Cell, Table
from mcctl.trace_tree import Twig, end_ns, trees, walk
from multicloud.v1 import insight_pb2

BAR_CHARS = 24
NAME_CHARS = 32
FULL, WAITED, NONE = "█", "░", " "


def fields(found: insight_pb2.GetTraceResponse) -> dict[str, Any]:
    """As documented for `mcctl trace -o json`."""
    return {
        "chunks": [_chunk(chunk) for chunk in found.chunks],
        "traces": [
            {"trace_id": trace_id, "spans": [_span(span) for span in spans]}
            for trace_id, spans in by_trace(found.spans).items()
        ],
        "unreachable": list(found.unreachable_nodes),
        "complete": not found.cut_short,
        "ui": found.ui or None,
    }


def by_trace(spans: Sequence[insight_pb2.Span]) -> dict[str, list[insight_pb2.Span]]:
    traces: dict[str, list[insight_pb2.Span]] = {}
    for span in spans:
        traces.setdefault(span.trace_id, []).append(span)
    return traces


def _chunk(chunk: insight_pb2.TracedChunk) -> dict[str, Any]:
    return {
        "index": chunk.index if chunk.HasField("index") else None,
        "ids": [one.hex() for one in chunk.chunk_ids],
        "trace_id": chunk.trace_id or None,
        "seconds": round(chunk.seconds, 6),
        "node": chunk.node or None,
        "error": chunk.error or None,
    }


def _span(span: insight_pb2.Span) -> dict[str, Any]:
    return {
        "span_id": span.span_id,
        "parent_id": span.parent_id or None,
        "name": span.name,
        "node": span.node,
        "cloud": span.cloud or None,
        "start_unix_ns": span.start_unix_ns,
        "ms": round((span.end_unix_ns - span.start_unix_ns) / 1e6, 3),
        "facts": dict(span.attributes),
        "error": span.error or None,
        "links": list(span.linked_trace_ids),
    }


def screen(found: insight_pb2.GetTraceResponse, names: dict[str, str]) -> list[Block]:
    """`names`: of nodes, by id."""
    blocks: list[Block] = []
    chunks = {chunk.trace_id: chunk for chunk in found.chunks}
    for trace_id, spans in by_trace(found.spans).items():
        blocks += ["", Cell(_title(trace_id, chunks.get(trace_id)), "bold")]
        blocks.append(_table(trees(spans), names))
        blocks += [
            Cell(f"failed: {s.name} on {s.node}: {s.error}", "red") for s in spans if s.error
        ]
    drawn = {span.trace_id for span in found.spans}
    others = [chunk for chunk in found.chunks if chunk.trace_id not in drawn]
    if others:
        blocks += ["", *_others(others, names, is_part=bool(drawn))]
    if found.unreachable_nodes:
        said = f"not answered: {', '.join(found.unreachable_nodes)}; their spans are missing"
        blocks.append(Cell(said, "yellow"))
    if found.cut_short:
        blocks.append(Cell("there are more spans than one answer holds", "yellow"))
    if found.spans:
        blocks.append(Cell(f"{FULL} works   {WAITED} waits for others", "dim"))
    return blocks[1:] if blocks and blocks[0] == "" else blocks


def _title(trace_id: str, chunk: insight_pb2.TracedChunk | None) -> str:
    if chunk is None:
        return f"trace {trace_id}"
    what = f"chunk {chunk.index}" if chunk.HasField("index") else "an attempt"
    return f"{what}  {took(chunk.seconds)}  trace {trace_id}"


def _table(roots: Sequence[Twig], names: dict[str, str]) -> Table:
    rows: list[list[str | Cell]] = []
    for root in roots:
        start_ns, whole_ns = root.start_ns, max(1, end_ns(root) - root.start_ns)
        for branch, twig in walk(root):
            style = "red" if twig.span.error else ""
            bar = _bar(twig, start_ns, whole_ns)
            name = (branch + _name(twig, names))[:NAME_CHARS]
            rows.append(
                [
                    Cell(name, style),
                    twig.span.node,
                    twig.span.cloud or "-",
                    f"{twig.took_ns / 1e6:.1f}",
                    Cell(bar, style or "cyan"),
                ]
            )
    return Table(("SPAN", "NODE", "CLOUD", ">MS", ""), rows)


def _name(twig: Twig, names: dict[str, str]) -> str:
    span = twig.span
    short = span.name.removeprefix("chunk.").removeprefix("store.")
    peer = span.attributes.get("peer", "") if span.name == "chunk.send" else ""
    name = f"{short} →{names.get(peer, peer)}" if peer else short
    many = f" ×{twig.times}" if twig.times > 1 else ""
    return f"{'!' if span.error else ''}{name}{many}"


def _bar(twig: Twig, start_ns: int, whole_ns: int) -> str:
    begin = min(BAR_CHARS - 1, max(0, BAR_CHARS * (twig.start_ns - start_ns) // whole_ns))
    end_at = -(-BAR_CHARS * (twig.start_ns + twig.took_ns - start_ns) // whole_ns)
    length = max(1, min(BAR_CHARS, end_at) - begin)
    waited = min(length, round(length * twig.waited_share))
    return NONE * begin + FULL * (length - waited) + WAITED * waited


def _others(
    chunks: Sequence[insight_pb2.TracedChunk], names: dict[str, str], *, is_part: bool
) -> list[Block]:
    """What there is no picture of."""
    said = (
        "its slowest chunks:"
        if is_part
        else "no node remembers spans of these any more; a collector may have them:"
    )
    rows: list[list[str | Cell]] = [
        [
            str(chunk.index) if chunk.HasField("index") else "-",
            took(chunk.seconds),
            names.get(chunk.node, chunk.node) or "-",
            chunk.trace_id or "-",
        ]
        for chunk in chunks
    ]
    return [said, Table((">CHUNK", ">TOOK", "BY", "TRACE"), rows)]


def took(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"
