"""Figures of a running job as its steward sees them: counts, bytes over borders, dollars, rates."""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from coordinator.jobs.ledger import Ledger, Totals
from multicloud.v1 import job_pb2, task_pb2
from nodeagent.core.pipeline.counts import Counts, hopeless, names
from nodeagent.core.pipeline.model import Pipeline
from nodeagent.jobs.steward_seen import Seen

SAMPLE_S, SAMPLES_KEPT = 1.0, 10
COST_SHARE_MAX = 0.05  # Of the time: adding up a ledger of many tasks takes a while.
Edge = tuple[str, str]
Done = tuple[int, ...]  # Bytes that each stage has done.
Samples = deque[tuple[float, Done]]
_NOBODY: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Live:
    """Bytes of tasks that run: what each stage took in, and what waits before it."""

    ingest: int = 0
    process: int = 0
    distribute: int = 0
    processing: int = 0
    sending: int = 0


@dataclass(slots=True)
class Figures:
    totals: Totals = field(default_factory=Totals)
    counted: set[str] = field(default_factory=set)  # Facts, by id.
    unsafe: dict[str, str] = field(default_factory=dict)  # Tasks that cannot be made safe, why.
    _edges: dict[Edge, tuple[int, float]] = field(default_factory=dict)
    _done_once: set[str] = field(default_factory=set)  # Tasks.
    _doubled_bytes: int = 0
    _samples: Samples = field(default_factory=lambda: deque(maxlen=SAMPLES_KEPT))
    _next_s: float = float("-inf")
    _live: Live = field(default_factory=Live)
    _most: Done = (0, 0, 0, 0)

    def count(self, fact: task_pb2.Fact) -> None:
        kind = fact.WhichOneof("kind")
        if kind == "page":
            return
        self.counted.add(fact.id)
        edges = fact.result.edges if kind == "result" else fact.safe.edges
        if kind == "result":
            if fact.result.task in self._done_once:
                self._doubled_bytes += sum(edge.bytes for edge in edges)
            self._done_once.add(fact.result.task)
        for edge in edges:
            size, usd = self._edges.get((edge.from_cloud, edge.to_cloud), (0, 0.0))
            self._edges[edge.from_cloud, edge.to_cloud] = size + edge.bytes, usd + edge.usd

    def sample(
        self, ledger: Ledger, now_s: float, seen: Seen | None = None, *, at_once: bool = False
    ) -> bool:
        """Adds up now and then. True when it has."""
        if now_s < self._next_s and not at_once:
            return False
        began_s = time.perf_counter()
        self.totals = ledger.totals()
        took_s = time.perf_counter() - began_s
        self._next_s = now_s + max(SAMPLE_S, took_s / COST_SHARE_MAX)
        self._live = self._live_of(seen)
        self._samples.append((now_s, self._done()))
        if seen is not None:
            seen.sample(now_s, self.totals.bytes_in + self.totals.chunks_safe)
        return True

    def _live_of(self, seen: Seen | None) -> Live:
        if seen is None:
            return Live()
        sealing = seen.live("seal")
        return Live(
            ingest=seen.live("ingest"),
            process=max(seen.live("process"), sealing),
            distribute=sealing,
            processing=seen.held("process"),
            sending=seen.held("seal", "send"),
        )

    @property
    def bytes_in(self) -> int:
        """As they come, and not only when a task has ended."""
        return self._done()[0]

    def _done(self) -> Done:
        """Of each stage, in their order. It never shrinks: a task that is told of as done and as
        running at once counts twice for a moment, one that is tried again begins anew.
        """
        t, live = self.totals, self._live
        now = (
            t.bytes_in + t.bytes_taken + live.ingest,
            t.bytes_out + live.process,
            t.bytes_sealed + live.distribute,
            _safe_bytes(t),
        )
        if t.bytes_listed:
            now = (min(now[0], t.bytes_listed), *now[1:])
        self._most = tuple(map(max, self._most, now)) if self._live != Live() else now
        return self._most

    def hopeless(self, pipeline: Pipeline, *, finished: bool) -> str:
        """Why the job should stop, by how many of its records are bad; empty when it should not."""
        sums = [
            Counts(
                step,
                one.records_in,
                one.records_out,
                one.filtered,
                one.dropped,
                one.quarantined,
            )
            for step, one in zip(names(pipeline), self.totals.steps, strict=False)
        ]
        if len(sums) != len(names(pipeline)):
            return ""  # Bytes that passed through, or nothing yet.
        return hopeless(pipeline, sums, finished=finished)

    @property
    def spent_usd(self) -> float:
        return sum(usd for _, usd in self._edges.values())

    def cost(self) -> job_pb2.Cost:
        edges = [
            job_pb2.EdgeBytes(from_cloud=a, to_cloud=b, bytes=size, usd=usd)
            for (a, b), (size, usd) in sorted(self._edges.items())
        ]
        doubled = self._doubled_bytes
        return job_pb2.Cost(spent_usd=self.spent_usd, edges=edges, doubled_bytes=doubled)

    def stages(self, waiting: Mapping[str, str] = _NOBODY) -> list[job_pb2.StageProgress]:
        """`waiting`: what stages wait for, in plain words."""
        now, live = self.totals, self._live
        done = self._done()
        rows = (
            ("ingest", now.bytes_listed, 0),
            ("process", 0, live.processing),
            ("distribute", 0, live.sending),
            ("store", now.bytes_sealed, now.bytes_sealed - _safe_bytes(now)),
        )
        return [
            job_pb2.StageProgress(
                stage=stage,
                bytes_done=done[place],
                bytes_planned=planned,
                bytes_per_s=_rate(self._samples, place),
                queued_bytes=queued,
                waiting_for=waiting.get(stage, ""),
            )
            for place, (stage, planned, queued) in enumerate(rows)
        ]


def _safe_bytes(totals: Totals) -> int:
    return totals.bytes_sealed * totals.chunks_safe // max(1, totals.chunks_acked)


def _rate(samples: Samples, place: int) -> float:
    """By how much it grew in a second, over the last samples."""
    if len(samples) < 2:
        return 0.0
    (from_s, first), (to_s, last) = samples[0], samples[-1]
    return max(0, last[place] - first[place]) / max(1e-3, to_s - from_s)


def task_of(fact: task_pb2.Fact) -> str:
    match fact.WhichOneof("kind"):
        case "result":
            return fact.result.task
        case "safe":
            return fact.safe.result.split("/")[1]
        case "poisoned":
            return fact.poisoned.task
    return ""


def counts_of(totals: Totals) -> job_pb2.JobCounts:
    first, last = (totals.steps[0], totals.steps[-1]) if totals.steps else (None, None)
    unacked = totals.tasks - totals.tasks_acked - totals.tasks_poisoned
    return job_pb2.JobCounts(
        objects_listed=totals.objects_listed,
        objects_ingested=totals.objects_ingested,
        objects_skipped=totals.objects_skipped,
        records_in=first.records_in if first else 0,
        records_out=last.records_out if last else 0,
        records_filtered=sum(step.filtered for step in totals.steps),
        records_dropped=sum(step.dropped for step in totals.steps),
        records_quarantined=sum(step.quarantined for step in totals.steps),
        chunks=totals.chunks_acked + max(0, unacked),
        chunks_acked=totals.chunks_acked,
        chunks_safe=totals.chunks_safe,
        bytes_in=totals.bytes_in,
        bytes_sealed=totals.bytes_sealed,
        objects_taken=totals.objects_taken,
        bytes_taken=totals.bytes_taken,
        bytes_reused=totals.bytes_reused,
        bytes_sent=totals.bytes_sent,
    )
