"""How a job ends: judged, its manifest written and safe, one outcome decided, its version told.

The outcome in the header is the decision. The version's register follows from it, and any keeper
writes it when the steward died in between.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from coordinator.jobs.ledger import Totals
from multicloud.errors import McError
from multicloud.v1 import job_pb2, records_pb2, task_pb2
from nodeagent.council.contract import Council
from nodeagent.jobs.contract import Manifests, Written
from nodeagent.jobs.header import Headers
from nodeagent.jobs.plane_world import JobWorld
from nodeagent.jobs.steward_figures import Figures, counts_of
from nodeagent.jobs.steward_seen import Seen, told

AGAIN_S = 1.0
VERSIONS = "version/"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`error`: why it has failed; empty when it has not."""

    error: str = ""


class Ended(Protocol):
    """A run that has come to its end."""

    figures: Figures
    seen: Seen

    async def settle(self) -> None:
        """Enough copies live of all that counts; COPIES_MISSING while they do not."""
        ...

    def chosen(self) -> AsyncIterator[task_pb2.TaskResult]: ...


def judged(spec: job_pb2.JobSpec, verdict: Verdict, totals: Totals, reasons: Sequence[str]) -> str:
    """Why the job has failed, all its tasks being decided; empty when it is done."""
    if verdict.error:
        return verdict.error
    if spec.strict and totals.objects_skipped:
        return f"{totals.objects_skipped} objects were skipped, and --strict allows none"
    if totals.tasks and totals.tasks == totals.tasks_poisoned:
        return f"nothing could be taken in: {reasons[-1] if reasons else 'every task failed'}"
    return ""


@dataclass(slots=True)
class Ending:
    world: JobWorld
    headers: Headers
    council: Council
    manifests: Manifests
    ended: Callable[[records_pb2.JobHeader, Ended], None] = lambda header, run: None
    trouble: dict[str, str] = field(default_factory=dict)  # Of a job that cannot end yet.

    async def end(
        self, header: records_pb2.JobHeader, run: Ended, verdict: Verdict, reasons: Sequence[str]
    ) -> str:
        """Tries until it is decided; SUPERSEDED when another steward has the job. Why it failed."""
        error = judged(header.spec, verdict, run.figures.totals, reasons)
        written: Written | None = None
        try:
            while True:
                try:
                    if not error and written is None:
                        await run.settle()
                        written = await self.manifests.write(header, run.chosen)
                    await self._decide(header, run, error, written)
                    return error
                except McError as failed:
                    if failed.reason == "SUPERSEDED":
                        raise
                    self.trouble[header.id] = f"it cannot be ended yet: {failed.message}"
                    await asyncio.sleep(AGAIN_S)
        finally:
            self.trouble.pop(header.id, None)

    async def _decide(
        self, header: records_pb2.JobHeader, run: Ended, error: str, written: Written | None
    ) -> None:
        state = job_pb2.JOB_STATE_FAILED if error else job_pb2.JOB_STATE_DONE
        outcome = records_pb2.JobOutcome(
            state=state,
            error=error,
            counts=counts_of(run.figures.totals),
            ended_unix_ms=self.world.unix_ms(),
            cost=run.figures.cost(),
        )
        if written is not None:
            outcome.manifest.extend(written.chunks)
            outcome.files, outcome.bytes = written.files, written.bytes
        if (limit := told(run.seen.limit_of_all())) is not None:
            outcome.bottleneck.CopyFrom(limit)

        def conclude(value: records_pb2.JobHeader) -> bool | None:
            if value.HasField("outcome"):
                return False
            if value.epoch != header.epoch:
                said = f"job {header.id} is in epoch {value.epoch} by now"
                raise McError("SUPERSEDED", said, facts={"epoch": str(value.epoch)})
            value.outcome.CopyFrom(outcome)
            return None

        decided = await self.headers.change(header.id, conclude)
        if decided.value.outcome.ended_unix_ms == outcome.ended_unix_ms:
            self.ended(decided.value, run)
        await self.tell_version(decided.value)

    async def tell_version(self, header: records_pb2.JobHeader) -> None:
        """The register of the version that a done job has made; again and again is once."""
        if header.outcome.state != job_pb2.JOB_STATE_DONE:
            return
        outcome, spec = header.outcome, header.spec
        record = records_pb2.VersionRecord(
            name=spec.dataset,
            version=header.version,
            job=header.id,
            manifest=outcome.manifest,
            files=outcome.files,
            chunks=outcome.counts.chunks,
            bytes=outcome.bytes,
            created_unix_ms=outcome.ended_unix_ms,
            key_id=header.key_id,
            policy=spec.policy,
        )
        await self.council.compare_and_set(
            version_key(header), 0, record.SerializeToString(), f"version-{header.id}"
        )


def version_key(header: records_pb2.JobHeader) -> str:
    return f"{VERSIONS}{header.spec.dataset}/{header.version}"
