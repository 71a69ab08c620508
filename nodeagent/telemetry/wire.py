"""How a trace crosses the wire: W3C traceparent, in gRPC metadata or inside a message."""

import re
from collections.abc import Iterable

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

KEY = "traceparent"
_FORM = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


def traceparent() -> str:
    """Of the span that is open here; "" outside of any."""
    context = trace.get_current_span().get_span_context()
    return text_of(context) if context.is_valid else ""


def trace_id() -> str:
    """Of the span that is open here; "" outside of any."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


def inject() -> tuple[tuple[str, str], ...]:
    """What to add to the metadata of a call."""
    value = traceparent()
    return ((KEY, value),) if value else ()


def extract(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    """The caller's traceparent from a call's metadata; "" when there is none that is valid."""
    for key, value in metadata or ():
        if key == KEY:
            return value if isinstance(value, str) and parse(value) else ""
    return ""


def parse(value: str) -> SpanContext | None:
    """A caller's text: anything but a valid one is as good as none."""
    found = _FORM.fullmatch(value)
    if found is None:
        return None
    flags = TraceFlags(int(found[3], 16) & TraceFlags.SAMPLED)
    context = SpanContext(int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=flags)
    return context if context.is_valid else None


def text_of(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def context_of(parent: str) -> Context:
    """Where a span with this parent begins; a new trace when it is none."""
    found = parse(parent)
    return trace.set_span_in_context(NonRecordingSpan(found), Context()) if found else Context()
