"""What a steward sees of work that is not a fact yet: how far running tasks are, where they stand,
why workers wait; and over the last seconds, what limits the job.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappush, heapreplace

from coordinator.jobs.bottleneck import Limit, Link, degraded, limit_of
from coordinator.types import NodeId
from multicloud.v1 import job_pb2, task_pb2

WINDOW_S = 10.0
STILL_S = 5.0  # Nothing has moved for so long: then it is said where tasks stand.
LINKS_SHOWN = 3
LINKED = 10  # Traces of the slowest chunks, and of failed attempts, that the job's own names.
PEERS_MAX = 4096

Seconds = Mapping[str, float]
Uses = Mapping[tuple[NodeId, NodeId], tuple[int, float, float]]


@dataclass(slots=True)
class Seen:
    name_of: Callable[[NodeId], str]
    credits: dict[NodeId, task_pb2.WorkerCredit] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)  # Of results, by stage.
    slowest: list[tuple[float, str]] = field(default_factory=list)  # A heap: seconds, traceparent.
    failed: deque[str] = field(default_factory=lambda: deque(maxlen=LINKED))  # Trace ids.
    _first: dict[tuple[NodeId, NodeId], tuple[int, float, float]] = field(default_factory=dict)
    _samples: deque[tuple[float, Seconds, Uses]] = field(default_factory=deque)
    _moved_s: float = 0.0
    _moved: tuple[int, float] = (-1, 0.0)

    # --- what is heard

    def credit(self, worker: NodeId, credit: task_pb2.WorkerCredit) -> None:
        self.credits[worker] = credit
        for use in credit.links:
            if len(self._first) < PEERS_MAX:  # What it sent before is not of this job.
                of = worker, use.to_node
                self._first.setdefault(of, (use.bytes, use.seconds, use.waited_s))

    def gone(self, worker: NodeId) -> None:
        self.credits.pop(worker, None)

    def result(self, result: task_pb2.TaskResult) -> None:
        for stage in result.stages:
            _add(self.seconds, stage)
        if not result.traceparent:
            return
        one = result.seconds, result.traceparent
        if len(self.slowest) < LINKED:
            heappush(self.slowest, one)
        elif one > self.slowest[0]:
            heapreplace(self.slowest, one)

    def refused(self, refused: task_pb2.TaskRefused) -> None:
        if refused.trace_id:
            self.failed.append(refused.trace_id)

    # --- how far it is

    def live(self, stage: str) -> int:
        """Bytes that tasks which run now have taken in at a stage."""
        return sum(one.bytes for one in self._stages() if one.stage == stage)

    def held(self, *stages: str) -> int:
        """Bytes of the source in tasks that stand there."""
        return sum(one.held_bytes for one in self._stages() if one.stage in stages)

    def standing(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for one in self._stages():
            found[one.stage] += one.tasks
        return +found

    def _stages(self) -> list[task_pb2.StageTime]:
        return [stage for credit in self.credits.values() for stage in credit.stages]

    def sample(self, now_s: float, progress_bytes: int) -> None:
        """Once a second or less often."""
        whole = self._whole()
        self._samples.append((now_s, whole, self._uses()))
        while len(self._samples) > 2 and now_s - self._samples[0][0] > WINDOW_S:
            self._samples.popleft()
        moved = progress_bytes, float(sum(self.live(stage) for stage in ("ingest", "seal")))
        if moved != self._moved or not self.standing():
            self._moved, self._moved_s = moved, now_s

    def _whole(self) -> Seconds:
        sums = dict(self.seconds)
        for one in self._stages():
            _add(sums, one)
        return sums

    def _uses(self) -> Uses:
        return {
            (worker, use.to_node): (use.bytes, use.seconds, use.waited_s)
            for worker, credit in self.credits.items()
            for use in credit.links
        }

    # --- what is said of it

    def limit(self) -> Limit | None:
        """Over the last seconds."""
        if len(self._samples) < 2:
            return None
        (_, before, _), (_, now, _) = self._samples[0], self._samples[-1]
        grown = {stage: max(0.0, now[stage] - before.get(stage, 0.0)) for stage in now}
        return limit_of(grown, self.links())

    def limit_of_all(self) -> Limit | None:
        """Over the whole job, as far as this steward saw it."""
        links = [
            self._link(of, self._first.get(of, _NONE), use) for of, use in self._uses().items()
        ]
        return limit_of(self.seconds, links)

    def links(self) -> list[Link]:
        """What workers sent in the last seconds, and how long they waited; the longest first."""
        if len(self._samples) < 2:
            return []
        (_, _, before), (_, _, now) = self._samples[0], self._samples[-1]
        found = [self._link(of, before.get(of, _NONE), use) for of, use in now.items()]
        return sorted((one for one in found if one.bytes), key=lambda one: -one.waited_s)

    def _link(
        self,
        of: tuple[NodeId, NodeId],
        before: tuple[int, float, float],
        now: tuple[int, float, float],
    ) -> Link:
        size_bytes, seconds, waited_s = (max(0, b - a) for a, b in zip(before, now, strict=True))
        names = self.name_of(of[0]), self.name_of(of[1])
        return Link(*names, int(size_bytes), float(seconds), float(waited_s))

    def degraded(self) -> str:
        """Links that mostly wait, in plain words; empty when there are none."""
        found = degraded(self.links())[:LINKS_SHOWN]
        return "; ".join(
            f"{one.source} → {one.target} waits {one.waited_share:.0%} of its time" for one in found
        )

    def waits(self, now_s: float) -> list[str]:
        """Why workers stand still: each reason once, with who says so."""
        whose: dict[str, list[str]] = {}
        for worker, credit in self.credits.items():
            for why in credit.waits:
                whose.setdefault(why, []).append(self.name_of(worker))
        found = [f"{', '.join(sorted(names))}: {why}" for why, names in whose.items()]
        still_s = now_s - self._moved_s
        standing = self.standing()
        if not found and standing and self._moved_s and still_s >= STILL_S:
            where = ", ".join(f"{count} at {stage}" for stage, count in standing.most_common())
            found.append(f"nothing has moved for {still_s:.0f} s; tasks stand: {where}")
        return found


_NONE = (0, 0.0, 0.0)


def _add(sums: dict[str, float], one: task_pb2.StageTime) -> None:
    sums[one.stage] = sums.get(one.stage, 0.0) + one.seconds


def told(limit: Limit | None) -> job_pb2.Bottleneck | None:
    if limit is None:
        return None
    return job_pb2.Bottleneck(
        stage=limit.stage,
        share=limit.share,
        sentence=limit.sentence,
        link=link_told(limit.link) if limit.link else None,
    )


def link_told(link: Link) -> job_pb2.LinkUse:
    return job_pb2.LinkUse(
        from_node=link.source,
        to_node=link.target,
        bytes=link.bytes,
        seconds=link.seconds,
        waited_s=link.waited_s,
    )


def shown(links: Sequence[Link]) -> list[job_pb2.LinkUse]:
    return [link_told(one) for one in links[:LINKS_SHOWN]]
