"""Traces: who decides what is kept, and where spans go when they end.

1 in N traces is sent to the collector, decided at the head by the trace's id, so all
nodes agree. Every span is kept in the ring for a while; when one fails, or somebody says
that the trace is worth it, it is sent after all.
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

KEPT_TRACES_MAX = 512  # Whose later spans are still sent.
ONE_IN = "mc.one_in"  # On the first span of a trace: another share than the configured one.
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
            one_in = (attributes or {}).get(ONE_IN) or self.one_in
            assert isinstance(one_in, int)  # Whoever begins a trace is our own code.
            sampled = trace_id % _TRACE_ID_BOUND < _TRACE_ID_BOUND // one_in
        decision = Decision.RECORD_AND_SAMPLE if sampled else Decision.RECORD_ONLY
        return SamplingResult(decision, attributes, parent.trace_state)

    def get_description(self) -> str:
        return f"OneIn({self.one_in})"


class Router(SpanProcessor):
    """Ended spans go to the ring, and to `send` when they are sampled or their trace is kept."""

    def __init__(self, ring: Ring, send: Callable[[ReadableSpan], None]) -> None:
        self._ring = ring
        self._send = send
        self._kept: OrderedDict[int, None] = OrderedDict()
        self._lock = threading.Lock()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        pass

    def on_end(self, span: ReadableSpan) -> None:
        context = span.context
        assert context is not None  # Spans that were started have one.
        if span.status.status_code is StatusCode.ERROR:
            self.keep(context.trace_id)
        self._ring.add(context.trace_id, span)
        if context.trace_flags.sampled or context.trace_id in self._kept:
            self._send(span)

    def keep(self, trace_id: int) -> None:
        """Something in it failed, or was slow: what ended before is sent too, and what comes."""
        with self._lock:
            if trace_id in self._kept:
                return
            self._kept[trace_id] = None
            if len(self._kept) > KEPT_TRACES_MAX:
                self._kept.popitem(last=False)
        self._ring.keep(trace_id)
        for span in self._ring.of(trace_id):
            if span.context is not None and not span.context.trace_flags.sampled:
                self._send(span)
