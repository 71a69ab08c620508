"""Logs, traces and metrics, set up once. Nothing else in the body knows OpenTelemetry."""
