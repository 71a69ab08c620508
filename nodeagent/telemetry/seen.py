"""Spans that have ended, as plain values: what the rest of the body sees of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode


@dataclass(frozen=True, slots=True)
class SeenSpan:
    trace_id: str
    span_id: str
    parent_id: str  # "" for the first of its trace.
    name: str
    start_unix_ns: int
    end_unix_ns: int
    facts: Mapping[str, str]  # `mc.` is left out of their names.
    error: str
    linked_trace_ids: tuple[str, ...]


def seen(span: ReadableSpan) -> SeenSpan:
    context, parent, status = span.context, span.parent, span.status
    assert context is not None  # Spans that were started have one.
    failed = status.status_code is StatusCode.ERROR
    return SeenSpan(
        trace_id=f"{context.trace_id:032x}",
        span_id=f"{context.span_id:016x}",
        parent_id=f"{parent.span_id:016x}" if parent else "",
        name=span.name,
        start_unix_ns=span.start_time or 0,
        end_unix_ns=span.end_time or span.start_time or 0,
        facts={key.removeprefix("mc."): str(value) for key, value in _facts(span).items()},
        error=(status.description or "failed") if failed else "",
        linked_trace_ids=tuple(f"{link.context.trace_id:032x}" for link in span.links),
    )


def has(span: ReadableSpan, name: str, facts: Mapping[str, str]) -> bool:
    """`name` empty: any."""
    found = _facts(span)
    return (not name or span.name == name) and all(
        found.get(f"mc.{key}") == value for key, value in facts.items()
    )


def _facts(span: ReadableSpan) -> Mapping[str, object]:
    return span.attributes or {}
