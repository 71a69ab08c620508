"""A job's own trace gets its end: the whole job as a span, its stages as sums below it, and links
to the traces of the chunks that took longest and of those that failed.
"""

from collections.abc import Sequence
from typing import Protocol

from multicloud.v1 import records_pb2
from nodeagent.jobs.steward_figures import Figures
from nodeagent.jobs.steward_seen import Seen


class Watcher(Protocol):
    """Telemetry, as far as it takes what is over."""

    def past(
        self,
        name: str,
        began_unix_s: float,
        ended_unix_s: float,
        *,
        parent: str = "",
        links: Sequence[str] = (),
        error: str = "",
        **facts: object,
    ) -> str: ...


def tell_end(watcher: Watcher, header: records_pb2.JobHeader, seen: Seen, figures: Figures) -> None:
    """Once, by the steward that ended it. Stages: seconds of all tasks together."""
    began_s, ended_s = header.created_unix_ms / 1000, header.outcome.ended_unix_ms / 1000
    slowest = [traceparent for _, traceparent in sorted(seen.slowest, reverse=True)]
    totals = figures.totals
    root = watcher.past(
        "job",
        began_s,
        ended_s,
        parent=header.traceparent,
        links=[*slowest, *(_first_of(trace_id) for trace_id in seen.failed)],
        error=header.outcome.error,
        job=header.id,
        dataset=header.spec.dataset,
        chunks=totals.chunks_acked,
        bytes=totals.bytes_in,
    )
    all_s = sum(seen.seconds.values()) or 1.0
    for stage, seconds in seen.seconds.items():
        watcher.past(
            f"job.{stage}",
            began_s,
            ended_s,
            parent=root,
            tasks_s=round(seconds, 3),
            share=round(seconds / all_s, 4),
            busy_s=round((ended_s - began_s) * seconds / all_s, 6),
        )


def _first_of(trace_id: str) -> str:
    """A link names a span too; of an attempt that failed only its trace is known here."""
    return f"00-{trace_id}-{trace_id[:16]}-00"
