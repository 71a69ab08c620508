"""Logs, traces and metrics, set up once. Nothing else in the body knows OpenTelemetry."""

from nodeagent.telemetry.seen import SeenSpan
from nodeagent.telemetry.setup import Observed, Telemetry
from nodeagent.telemetry.wire import extract, inject, trace_id, traceparent

__all__ = ["Observed", "SeenSpan", "Telemetry", "extract", "inject", "trace_id", "traceparent"]
