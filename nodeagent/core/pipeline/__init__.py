"""Pipelines as data, the cutting of sources into tasks, and the counting of records: pure."""
