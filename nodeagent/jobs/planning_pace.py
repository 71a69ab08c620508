"""How fast a job will go, by how fast jobs went here lately."""

from collections.abc import Iterable
from heapq import nlargest
from statistics import median

from multicloud.v1 import job_pb2, records_pb2

LATEST = 8
BYTES_MIN = 16 << 20  # Of a small job most of the time is its beginning and its end.


def pace_bytes_per_s(headers: Iterable[records_pb2.JobHeader], spec: job_pb2.JobSpec) -> float:
    """The median of the latest jobs that were done, within the limit that is asked for. Jobs with
    a pipeline are compared with such jobs, if there are any. 0: nobody can tell.
    """
    done = [h for h in headers if h.outcome.state == job_pb2.JOB_STATE_DONE and _tells(h)]
    alike = [h for h in done if bool(h.spec.pipeline_toml) == bool(spec.pipeline_toml)]
    lately = nlargest(LATEST, alike or done, key=lambda h: h.outcome.ended_unix_ms)
    limit = float(spec.bandwidth_bytes_per_s_max)
    if not lately:
        return limit
    measured = median(h.outcome.counts.bytes_in / _took_s(h) for h in lately)
    return min(measured, limit) if limit else measured


def _tells(header: records_pb2.JobHeader) -> bool:
    """One that was slowed down on purpose tells nothing."""
    limited = header.spec.bandwidth_bytes_per_s_max
    return not limited and header.outcome.counts.bytes_in >= BYTES_MIN and _took_s(header) > 0


def _took_s(header: records_pb2.JobHeader) -> float:
    return (header.outcome.ended_unix_ms - header.created_unix_ms) / 1000
