"""Metrics: one table of what is measured, OpenTelemetry behind it, Prometheus text in front.

A name or label without a row is a defect, so that labels stay few and bounded: never the
id of a chunk, job or call.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricReader,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from nodeagent.telemetry.collector import Collector
from nodeagent.telemetry.sampling import Sample, SamplingReader

LABEL_CHARS_MAX = 96
SEND_EVERY_MS = 10_000
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


@dataclass(frozen=True, slots=True)
class Metric:
    kind: Literal["count", "observe", "gauge"]
    unit: str
    what: str


METRICS: Mapping[str, Metric] = {
    "rpc.server.call.duration": Metric("observe", "s", "Calls that this node answered"),
    "mc.calls.limited": Metric("count", "{call}", "Calls refused by a limit"),
    "mc.audit.dropped": Metric("gauge", "{record}", "Refusals counted but not written"),
    "mc.audit.healthy": Metric("gauge", "1", "1 while the audit log can be written"),
    "mc.peers": Metric("gauge", "{node}", "Peers by what is known of them"),
    "mc.loop.lag": Metric("observe", "s", "How late an event loop comes to its work"),
    "mc.certificate.remaining": Metric("gauge", "s", "Until this node's certificate expires"),
    "mc.wire.bytes": Metric("count", "By", "Bytes of chunks that came in and went out"),
    "mc.wire.puts": Metric("count", "{chunk}", "Chunks sent here, by what became of them"),
    "mc.wire.credit.wait": Metric("observe", "s", "How long each stream waited for credit"),
    "mc.wire.in_flight": Metric("gauge", "By", "Bytes that streams of data may have waiting here"),
    "mc.store.put": Metric("count", "By", "Bytes of chunks that became durable here"),
    "mc.store.batch": Metric("observe", "{put}", "What one group commit makes durable together"),
    "mc.store.fsync": Metric("observe", "s", "How long a sync of the disk takes"),
    "mc.store.call": Metric("observe", "s", "Calls of a store that is watched from outside"),
    "mc.store.faults": Metric("count", "{fault}", "Faults of a disk, by what it became"),
    "mc.store.damage": Metric("count", "{chunk}", "Chunks found damaged or lost"),
    "mc.cloud.request.duration": Metric("observe", "s", "Requests to clouds, by how they ended"),
    "mc.cloud.bytes": Metric("count", "By", "Bytes read from buckets and put into them"),
    "mc.cloud.tries": Metric("count", "{request}", "Requests that were made again, and why"),
    "mc.upkeep.scrubbed": Metric("count", "By", "Bytes that were read again and checked"),
    "mc.upkeep.restored": Metric(
        "count", "{chunk}", "Chunks whose policy was met again after a loss"
    ),
    "mc.upkeep.verified.age": Metric("gauge", "s", "Since the check that is longest ago"),
    "mc.upkeep.repairs": Metric("count", "{chunk}", "Attempts to repair a chunk, by outcome"),
    "mc.upkeep.repair.duration": Metric("observe", "s", "From damage found to a good copy"),
    "mc.upkeep.open": Metric("gauge", "{chunk}", "Damaged chunks not repaired yet, by state"),
    "mc.upkeep.trash": Metric("count", "{chunk}", "Chunks into the trash, back and out of it"),
    "mc.chunks.copies": Metric(
        "gauge", "{chunk}", "Chunks counted here, by copies; 4 is 4 or more"
    ),
    "mc.repair.debt": Metric("gauge", "{chunk}", "Chunks counted here that are short of copies"),
    "mc.repair.debt.size": Metric("gauge", "By", "Bytes of chunks that are short of copies"),
    "mc.repair.debt.age": Metric("gauge", "s", "Since the oldest of them became short"),
    "mc.link.rtt": Metric("gauge", "s", "Round trip to a peer, without its service time"),
    "mc.cluster.frozen": Metric("gauge", "1", "1 while copying is frozen: much was lost at once"),
    "mc.deliveries": Metric("count", "{chunk}", "Chunks sent from here, by how far they came"),
    "mc.work.tasks": Metric("count", "{task}", "Tasks of jobs that ended here, by how"),
    "mc.work.task.duration": Metric("observe", "s", "From an offered task to its fact"),
    "mc.work.results": Metric("count", "{task}", "Acked results, by what became of their copies"),
    "mc.breaker.closed": Metric("count", "1", "Circuit breakers that closed again, by peer"),
    "mc.breakers": Metric("gauge", "1", "Peers and endpoints that failed lately, by breaker state"),
    "mc.retries.refused": Metric("gauge", "1", "Tries anew that no retry budget allowed"),
    "mc.breaker.opened": Metric("count", "1", "Circuit breakers that opened, by peer and reason"),
    "mc.council.ballots": Metric("count", "1", "Ballots of this node, by how they ended"),
    "mc.council.decision.duration": Metric("observe", "s", "From a wish to its decision"),
    "mc.council.epoch": Metric("gauge", "1", "Of the council, as this node knows; 0: of none"),
    "mc.events.sent": Metric("count", "{event}", "Events told to sinks, by how it went"),
    "mc.spans.dropped": Metric("gauge", "{span}", "Spans that no collector got"),
    "mc.spans.waiting": Metric("gauge", "{span}", "Spans that wait for the collector"),
}

LABELS: Mapping[str, str] = {
    "method": "rpc.method",
    "code": "rpc.response.status_code",
    "reason": "error.type",
    "state": "mc.state",
    "loop": "mc.loop",
    "limit": "mc.limit",
    "peer": "mc.peer",
    "cloud": "cloud.provider",
    "endpoint": "mc.endpoint",
    "region": "cloud.region",
    "direction": "network.io.direction",
    "outcome": "mc.outcome",
    "decision": "mc.decision",
    "what": "mc.what",
    "copies": "mc.copies",
}
_SHORT = {long: short for short, long in LABELS.items()}


class Metrics:
    """The registry is its own: two daemons in one process do not meet in it."""

    def __init__(self, resource: Resource, collector: Collector | None) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._reader = SamplingReader(self._registry)
        readers: list[MetricReader] = [self._reader]
        if collector is not None:
            exporter = _OtlpExporter(collector)
            readers.append(
                PeriodicExportingMetricReader(exporter, export_interval_millis=SEND_EVERY_MS)
            )
        self._provider = MeterProvider(readers, resource, shutdown_on_exit=False)
        self._meter = self._provider.get_meter("multicloud")
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}

    def count(self, name: str, n: float = 1, **labels: str) -> None:
        if name not in self._counters:
            row = _row(name, "count")
            self._counters[name] = self._meter.create_counter(name, row.unit, row.what)
        self._counters[name].add(n, _attributes(labels))

    def observe(self, name: str, value: float, **labels: str) -> None:
        if name not in self._histograms:
            row = _row(name, "observe")
            bounds = list(_SECONDS) if row.unit == "s" else None
            self._histograms[name] = self._meter.create_histogram(
                name, row.unit, row.what, explicit_bucket_boundaries_advisory=bounds
            )
        self._histograms[name].record(value, _attributes(labels))

    def gauge(
        self, name: str, read: Callable[[], Mapping[tuple[str, ...], float]], *labels: str
    ) -> None:
        """`read` runs in another thread at every scrape; it tells values by values of `labels`."""
        row = _row(name, "gauge")

        def observed(_options: CallbackOptions) -> Iterable[Observation]:
            for values, value in read().items():
                yield Observation(value, _attributes(dict(zip(labels, values, strict=True))))

        self._meter.create_observable_gauge(name, [observed], row.unit, row.what)

    def text(self) -> bytes:
        """All of it as Prometheus reads it."""
        return generate_latest(self._registry)

    def samples(self) -> list[Sample]:
        """All of it as plain figures."""
        return self._reader.sample()

    def flush(self) -> None:
        self._provider.force_flush()

    def stop(self, bound_s: float) -> None:
        self._provider.shutdown(timeout_millis=bound_s * 1000)


class _OtlpExporter(MetricExporter):
    """Hands metrics to the collector; losing a few is harmless, the next ones hold them too."""

    def __init__(self, collector: Collector) -> None:
        super().__init__()
        self._collector = collector

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_more: Any
    ) -> MetricExportResult:
        sent = self._collector.send_metrics(metrics_data)
        return MetricExportResult.SUCCESS if sent else MetricExportResult.FAILURE

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_more: Any) -> None:
        pass  # The collector's connection belongs to who made it.


def label_of(attribute: str) -> str:
    """A label as people write it, of the attribute that carries it."""
    return _SHORT.get(attribute, attribute)


def _row(name: str, kind: str) -> Metric:
    row = METRICS[name]
    assert row.kind == kind, f"{name} is of the kind {row.kind}"
    return row


def _attributes(labels: Mapping[str, str]) -> dict[str, str]:
    return {LABELS[name]: str(value)[:LABEL_CHARS_MAX] for name, value in labels.items()}
