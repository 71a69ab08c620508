"""Does it move? Judged by what became safe and what was repaired lately, and not by who is busy."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LOOK_BACK_S = 30.0


@dataclass(frozen=True, slots=True)
class _Sample:
    at_s: float
    debt_chunks: int
    progress: Mapping[str, int]  # Of each job: whatever of it only grows, added up.


@dataclass(slots=True)
class Motion:
    _seen: deque[_Sample] = field(default_factory=deque)
    _still_since_s: float | None = None

    def of(self, status: Mapping[str, Any], now_s: float) -> dict[str, Any]:
        """`state`: idle, moving, waiting, or unknown while too little was seen."""
        debt = int(status["repair_debt"]["chunks"])
        jobs = {job["job"]: _progress(job) for job in status["jobs"] if job["state"] != "paused"}
        self._seen.append(_Sample(now_s, debt, jobs))
        while len(self._seen) > 2 and now_s - self._seen[1].at_s > LOOK_BACK_S:
            self._seen.popleft()
        if not debt and not jobs:
            self._still_since_s = None
            return _said("idle", "Nothing to move: no job runs, and nothing is to be repaired.")
        first = self._seen[0]
        worked = sum(done - first.progress.get(job, done) for job, done in jobs.items())
        mended = max(one.debt_chunks for one in self._seen) - debt
        took_s = now_s - first.at_s
        if worked > 0 or mended > 0:
            self._still_since_s = None
            parts = ["jobs go on"] * (worked > 0)
            fewer = f"{mended} fewer {'chunk is' if mended == 1 else 'chunks are'} short of copies"
            parts += [fewer] * (mended > 0)
            return _said("moving", f"Moving: in the last {took_s:.0f} s {' and '.join(parts)}.")
        if took_s < LOOK_BACK_S / 3:
            return _said("unknown", "Looking whether it moves …")
        if self._still_since_s is None:
            self._still_since_s = first.at_s
        return _said("waiting", f"Standing still for {now_s - self._still_since_s:.0f} s.")


def _progress(job: Mapping[str, Any]) -> int:
    stages = sum(int(stage["bytes_done"]) for stage in job["stages"])
    return stages + sum(
        int(job[name]) for name in ("objects_listed", "bytes_in", "chunks_acked", "chunks_safe")
    )


def _said(state: str, sentence: str) -> dict[str, Any]:
    return {"state": state, "sentence": sentence}
