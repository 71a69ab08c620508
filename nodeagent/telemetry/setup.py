"""Telemetry of one daemon: logs, traces and metrics, set up once and stopped in a bounded time.

`span`, `count`, `observe` and `gauge` are the only way for the body to be observed.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, Literal, TextIO

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode

from multicloud.errors import McError
from nodeagent.config import model
from nodeagent.telemetry import logs
from nodeagent.telemetry.collector import Collector, Outbox
from nodeagent.telemetry.mask import masked, masked_text
from nodeagent.telemetry.metrics import LABELS, Metrics
from nodeagent.telemetry.ring import Ring
from nodeagent.telemetry.seen import SeenSpan, has, seen
from nodeagent.telemetry.spans import OneIn, Router
from nodeagent.telemetry.wire import context_of, parse, text_of

STOP_BOUND_S = 1.0
ERROR_CHARS_MAX = 512

_KINDS = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}


@dataclass(frozen=True, slots=True)
class Observed:
    """A span that is open."""

    _span: Span

    @property
    def trace_id(self) -> str:
        return f"{self._span.get_span_context().trace_id:032x}"

    @property
    def traceparent(self) -> str:
        return text_of(self._span.get_span_context())

    def fact(self, **facts: Any) -> None:
        self._span.set_attributes(_attributes(facts))

    def fail(self, reason: str, what: str = "") -> None:
        """Marks it as failed, without an exception that leaves it."""
        self._span.set_attribute("error.type", reason)
        self._span.set_status(Status(StatusCode.ERROR, masked_text(what, ERROR_CHARS_MAX)))


class Telemetry:
    def __init__(
        self, options: model.Telemetry, node: model.Node, version: str, rng: Random
    ) -> None:
        resource = _resource(node, version)
        endpoint = options.otlp_endpoint
        self._collector = Collector(endpoint) if endpoint else None
        self._outbox = (
            None
            if self._collector is None
            else Outbox(self._collector, options.queue_spans_max, rng)
        )
        self._sampler = OneIn(options.trace_one_in)
        self.ring = Ring()
        self._provider = TracerProvider(
            sampler=self._sampler, resource=resource, shutdown_on_exit=False
        )
        self._router = Router(self.ring, self._send)
        self._provider.add_span_processor(self._router)
        self._stopped = False
        self._tracer = self._provider.get_tracer("multicloud")
        self.metrics = Metrics(resource, self._collector if options.otlp_metrics else None)
        self.metrics.gauge("mc.spans.dropped", lambda: {(): self.spans_dropped})
        self.metrics.gauge("mc.spans.waiting", lambda: {(): self.spans_waiting})
        self.count = self.metrics.count
        self.observe = self.metrics.observe
        self.gauge = self.metrics.gauge
        self.metrics_text = self.metrics.text
        self.samples = self.metrics.samples

    @classmethod
    def start(
        cls,
        options: model.Telemetry,
        node: model.Node,
        version: str,
        *,
        rng: Random | None = None,
        stream: TextIO | None = None,
    ) -> "Telemetry":
        """Logs from here on; nothing is connected yet, and nobody ever waits for a collector."""
        logs.configure(options.log_level, options.log_format, stream)
        return cls(options, node, version, rng or Random())

    def reload(self, options: model.Telemetry) -> None:
        """Takes what can change while the daemon runs."""
        logs.set_level(options.log_level)
        self._sampler.one_in = options.trace_one_in

    async def flush_metrics(self) -> None:
        """Sends metrics now, if they are sent at all."""
        await asyncio.to_thread(self.metrics.flush)

    async def stop(self, bound_s: float = STOP_BOUND_S) -> None:
        """Sends what waits, within the bound."""
        if not self._stopped:
            self._stopped = True
            await asyncio.to_thread(self._stop, bound_s)

    def _stop(self, bound_s: float) -> None:
        if self._outbox is not None:
            self._outbox.stop(bound_s)  # Closes the collector, so metrics cannot block either.
        self.metrics.stop(bound_s)
        self._provider.shutdown()
        logs.flush()

    @property
    def spans_dropped(self) -> int:
        return self._outbox.dropped if self._outbox is not None else 0

    @property
    def spans_waiting(self) -> int:
        return self._outbox.waiting if self._outbox is not None else 0

    def spans_of(self, trace_id: str) -> tuple[ReadableSpan, ...]:
        """What the ring still has of a trace."""
        return self.ring.of(int(trace_id, 16))

    def seen(self, trace_id: str) -> list[SeenSpan]:
        """The same as plain values."""
        return [seen(span) for span in self.spans_of(trace_id)]

    def find(self, name: str, **facts: str) -> list[SeenSpan]:
        """Those in the ring with that name, and with these facts among theirs."""
        return [seen(span) for span in self.ring.all() if has(span, name, facts)]

    def keep(self, trace_id: str) -> None:
        """A trace that is worth it: it is kept longer here, and sent to the collector."""
        self._router.keep(int(trace_id, 16))

    def past(
        self,
        name: str,
        began_unix_s: float,
        ended_unix_s: float,
        *,
        parent: str = "",
        links: Sequence[str] = (),
        error: str = "",
        **facts: Any,
    ) -> str:
        """A span of what is over already; its traceparent."""
        span = self._tracer.start_span(
            name,
            context=context_of(parent),
            attributes=_attributes(facts),
            links=_links(links),
            start_time=int(began_unix_s * 1e9),
        )
        if error:
            span.set_status(Status(StatusCode.ERROR, masked_text(error, ERROR_CHARS_MAX)))
        span.end(int(max(began_unix_s, ended_unix_s) * 1e9))
        return text_of(span.get_span_context())

    @contextmanager
    def span(
        self,
        name: str,
        *,
        parent: str | None = None,
        kind: Literal["internal", "server", "client", "producer", "consumer"] = "internal",
        links: Sequence[str] = (),
        **facts: Any,
    ) -> Iterator[Observed]:
        """An open span. `parent` is a traceparent from elsewhere; None: the span that is open here.

        What leaves it as an exception marks it as failed, unless it was merely cancelled.
        """
        context: Context | None = None if parent is None else context_of(parent)
        with self._tracer.start_as_current_span(
            name,
            context=context,
            kind=_KINDS[kind],
            attributes=_attributes(facts),
            links=_links(links),
            record_exception=False,  # A message is enough; a traceback may hold secrets.
            set_status_on_exception=False,
        ) as span:
            seen = Observed(span)
            try:
                yield seen
            except Exception as error:
                reason = error.reason if isinstance(error, McError) else type(error).__name__
                seen.fail(reason, str(error))
                raise

    def _send(self, span: ReadableSpan) -> None:
        if self._outbox is not None:
            self._outbox.offer(span)


def _resource(node: model.Node, version: str) -> Resource:
    facts = {
        "service.name": "nodeagentd",
        "service.instance.id": node.id,
        "service.version": version,
        "service.namespace": node.cluster,
        "host.name": node.name,
        "cloud.provider": node.cloud,
        "cloud.region": node.region,
        "cloud.availability_zone": node.zone,
    }
    return Resource({name: value for name, value in facts.items() if value})


def _links(links: Sequence[str]) -> list[Link]:
    return [Link(found) for link in links if (found := parse(link)) is not None]


def _attributes(facts: Mapping[str, Any]) -> dict[str, Any]:
    """`method` is the convention's rpc.method, whatever has no convention is mc.<name>."""
    return {
        LABELS.get(name, f"mc.{name}"): _flat(masked(name, value))
        for name, value in facts.items()
        if value is not None
    }


def _flat(value: Any) -> Any:
    return value if isinstance(value, str | bool | int | float) else str(value)
