"""The last spans that ended on this node, by trace: for `mcctl trace`, and for what failed."""

import threading
from collections import OrderedDict

from opentelemetry.sdk.trace import ReadableSpan

RING_SPANS_MAX = 2048
TRACE_SPANS_MAX = 256  # Of one trace: a long one must not push out all others.


class Ring:
    def __init__(self, spans_max: int = RING_SPANS_MAX) -> None:
        self._spans_max = spans_max
        self._traces: OrderedDict[int, list[ReadableSpan]] = OrderedDict()
        self._count = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._count

    def add(self, trace_id: int, span: ReadableSpan) -> None:
        with self._lock:
            spans = self._traces.setdefault(trace_id, [])
            self._traces.move_to_end(trace_id)
            if len(spans) >= TRACE_SPANS_MAX:
                del spans[0]
                self._count -= 1
            spans.append(span)
            self._count += 1
            while self._count > self._spans_max:
                _, oldest = self._traces.popitem(last=False)
                self._count -= len(oldest)

    def of(self, trace_id: int) -> tuple[ReadableSpan, ...]:
        with self._lock:
            return tuple(self._traces.get(trace_id, ()))
