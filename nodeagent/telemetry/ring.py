"""The last spans that ended on this node, by trace: for `mcctl trace`, and for what failed.

Traces that are worth it are kept apart, so that what is ordinary does not push them out.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator

from opentelemetry.sdk.trace import ReadableSpan

RING_SPANS_MAX = 4096
KEPT_SPANS_MAX = 2048  # Of what failed or was slow.
TRACE_SPANS_MAX = 256  # Of one trace: a long one must not push out all others.


class _Shelf:
    """Traces within a bound of spans; the one that was quiet longest goes first."""

    def __init__(self, spans_max: int) -> None:
        self._spans_max = spans_max
        self.traces: OrderedDict[int, list[ReadableSpan]] = OrderedDict()
        self.count = 0

    def add(self, trace_id: int, *added: ReadableSpan) -> None:
        spans = self.traces.setdefault(trace_id, [])
        self.traces.move_to_end(trace_id)
        spans.extend(added)
        surplus = len(spans) - TRACE_SPANS_MAX
        if surplus > 0:
            del spans[:surplus]
        self.count += len(added) - max(0, surplus)
        while self.count > self._spans_max:
            _, oldest = self.traces.popitem(last=False)
            self.count -= len(oldest)

    def take(self, trace_id: int) -> list[ReadableSpan]:
        found = self.traces.pop(trace_id, [])
        self.count -= len(found)
        return found


class Ring:
    def __init__(
        self, spans_max: int = RING_SPANS_MAX, kept_spans_max: int = KEPT_SPANS_MAX
    ) -> None:
        self._last, self._kept = _Shelf(spans_max), _Shelf(kept_spans_max)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._last.count + self._kept.count

    def add(self, trace_id: int, span: ReadableSpan) -> None:
        with self._lock:
            shelf = self._kept if trace_id in self._kept.traces else self._last
            shelf.add(trace_id, span)

    def keep(self, trace_id: int) -> None:
        """It is worth more than others: what there is of it, and what comes."""
        with self._lock:
            self._kept.add(trace_id, *self._last.take(trace_id))

    def of(self, trace_id: int) -> tuple[ReadableSpan, ...]:
        with self._lock:
            return tuple(self._kept.traces.get(trace_id) or self._last.traces.get(trace_id) or ())

    def all(self) -> Iterator[ReadableSpan]:
        """Every span there is, trace by trace, the newest trace first."""
        with self._lock:
            shelves = (self._kept.traces, self._last.traces)
            found = [list(spans) for traces in shelves for spans in reversed(traces.values())]
        for spans in found:
            yield from spans
