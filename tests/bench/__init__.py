"""Measurements of the system, each a command; their tables stand in `docs/benchmarks.md`."""
