"""Traces: who decides what is kept, and where spans go when they end.

1 in N traces is sent to the collector, decided at the head by the trace's id, so all
nodes agree. Every span is kept in the ring for a while; when one fails, its trace is
sent after all.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, StatusCode, TraceState, get_current_span
from opentelemetry.util.types import Attributes

from nodeagent.telemetry.ring import Ring

FAILED_TRACES_MAX = 512  # Whose later spans are still sent.
_TRACE_ID_BOUND = 1 << 63


class OneIn(Sampler):
    """Follows the parent's decision; without a parent, 1 in `one_in`. All spans are recorded."""

    def __init__(self, one_in: int) -> None:
        self.one_in = one_in

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        parent = get_current_span(parent_context).get_span_context()
        if parent.is_valid:
            sampled = parent.trace_flags.sampled
        else:
            sampled = trace_id % _TRACE_ID_BOUND < _TRACE_ID_BOUND // self.one_in
        decision = Decision.RECORD_AND_SAMPLE if sampled else Decision.RECORD_ONLY
        return SamplingResult(decision, attributes, parent.trace_state)

    def get_description(self) -> str:
        return f"OneIn({self.one_in})"


class Router(SpanProcessor):
    """Ended spans go to the ring, and to `send` when they are sampled or their trace failed."""

    def __init__(self, ring: Ring, send: Callable[[ReadableSpan], None]) -> None:
        self._ring = ring
        self._send = send
        self._failed: OrderedDict[int, None] = OrderedDict()
        self._lock = threading.Lock()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        pass

    def on_end(self, span: ReadableSpan) -> None:
        context = span.context
        assert context is not None  # Spans that were started have one.
        trace_id = context.trace_id
        before = () if context.trace_flags.sampled else self._to_send_too(span, trace_id)
        self._ring.add(trace_id, span)
        for other in before:
            self._send(other)
        if context.trace_flags.sampled or trace_id in self._failed:
            self._send(span)

    def _to_send_too(self, span: ReadableSpan, trace_id: int) -> tuple[ReadableSpan, ...]:
        """When the first span of a trace fails: what ended before it."""
        if span.status.status_code is not StatusCode.ERROR:
            return ()
        with self._lock:
            if trace_id in self._failed:
                return ()
            self._failed[trace_id] = None
            if len(self._failed) > FAILED_TRACES_MAX:
                self._failed.popitem(last=False)
        return self._ring.of(trace_id)
