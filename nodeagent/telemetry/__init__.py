"""Logs, traces and metrics, set up once. Nothing else in the body knows OpenTelemetry."""

from nodeagent.telemetry.metrics import label_of
from nodeagent.telemetry.sampling import Sample
from nodeagent.telemetry.seen import SeenSpan
from nodeagent.telemetry.setup import Observed, Telemetry
from nodeagent.telemetry.wire import extract, inject, trace_id, traceparent

__all__ = [
    "Observed",
    "Sample",
    "SeenSpan",
    "Telemetry",
    "extract",
    "inject",
    "label_of",
    "trace_id",
    "traceparent",
]
