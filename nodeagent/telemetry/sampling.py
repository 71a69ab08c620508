"""Metrics as plain figures, once a second, for the history; the same reader serves `/metrics`, so
that counting costs nobody more than before.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import HistogramDataPoint, MetricsData, NumberDataPoint, Sum
from prometheus_client import CollectorRegistry


@dataclass(frozen=True, slots=True)
class Sample:
    """`count` is that of a histogram; then `value` is the sum of what was observed."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float
    counter: bool = False
    count: int | None = None


class SamplingReader(PrometheusMetricReader):
    """What it collects in a thread that samples goes there, and not into the page."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._tapped = threading.local()
        super().__init__(scope_info_enabled=False, registry=registry)

    def sample(self) -> list[Sample]:
        found: list[MetricsData] = []
        self._tapped.found = found
        try:
            self.collect()
        finally:
            del self._tapped.found
        return [sample for data in found for sample in _samples(data)]

    def _receive_metrics(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **more: Any
    ) -> None:
        found = getattr(self._tapped, "found", None)
        if found is None:
            super()._receive_metrics(metrics_data, timeout_millis, **more)
        else:
            found.append(metrics_data)


def _samples(data: MetricsData) -> Iterator[Sample]:
    metrics = (m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics)
    for metric in metrics:
        for point in metric.data.data_points:
            labels = tuple(sorted((k, str(v)) for k, v in (point.attributes or {}).items()))
            if isinstance(point, HistogramDataPoint):
                yield Sample(metric.name, labels, point.sum, count=point.count)
            elif isinstance(point, NumberDataPoint):
                counter = isinstance(metric.data, Sum)
                yield Sample(metric.name, labels, float(point.value), counter)
