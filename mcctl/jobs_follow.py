"""Following a job to where somebody wants to see it, whoever answers; leaving it is no harm.

Ctrl-C detaches and never cancels: what is said then, and the exit code, are here.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from mcctl import reach, show
from mcctl.cli import EXIT_INTERRUPTED, run_async
from mcctl.jobs_progress import Tell, telling
from mcctl.jobs_show import ENDED, exit_code, fields, screen
from mcctl.options import options
from multicloud.errors import McError
from multicloud.v1 import job_pb2
from multicloud.v1.job_pb2_grpc import JobServiceStub
from nodeagent.jobs.sources.uris import LAPTOP

AWAY = ("UNREACHABLE", "DEADLINE", "DRAINING", "STARTING", "NO_MAJORITY")
AWAY_S_MAX = 60.0
NEW_S_MAX = 10.0
AGAIN_S = 0.5

Until = Callable[[job_pb2.Job], bool]
Also = Callable[[job_pb2.Job], str]


def ended(job: job_pb2.Job) -> bool:
    return job.state in ENDED


def acked(job: job_pb2.Job) -> bool:
    """Every byte of the source is durable in different places: the source is not needed."""
    return ended(job) or job.source_done


def safe(job: job_pb2.Job) -> bool:
    counts = job.counts
    return ended(job) or (job.source_done and 0 < counts.chunks == counts.chunks_safe)


@dataclass(slots=True)
class Followed:
    """What is known of the job when somebody leaves."""

    job: job_pb2.Job | None = None


def attended(work: Callable[[Followed], Coroutine[Any, Any, int]]) -> int:
    """Runs it; Ctrl-C and `--timeout` leave the job alone and say so."""
    followed = Followed()
    try:
        return run_async(work(followed))
    except KeyboardInterrupt:
        if followed.job is None:
            raise
        for line in parting(followed.job):
            show.note(line)
        show.emit({"job": followed.job.id}, followed.job.id)  # The last line.
        return EXIT_INTERRUPTED
    except McError as late:
        if late.reason != "DEADLINE" or followed.job is None or options().timeout_s is None:
            raise
        job = followed.job
        said = f"{late.message}; " + " ".join(parting(job))
        raise McError("DEADLINE", said, next=f"`mcctl wait {job.id}`") from late


def parting(job: job_pb2.Job) -> list[str]:
    """What becomes of a job that nobody looks at any more."""
    if ended(job):
        return [f"the job {job.id} has ended"]
    if not job.spec.source.startswith(f"{LAPTOP}://"):
        return [f"the job {job.id} goes on; `mcctl watch {job.id}` looks again"]
    if job.source_done:
        return [
            f"the job {job.id} goes on and needs its source no more: every byte is acked",
            f"`mcctl watch {job.id}` looks again",
        ]
    return [
        f"the job {job.id} still needs the files of {job.spec.source}",
        f"unless somebody else serves them it waits now: `mcctl submit --resume {job.id}` there "
        "sends only what is missing",
    ]


async def follow(
    job: str,
    until: Until,
    followed: Followed,
    *,
    new: bool = False,
    also: Also = lambda job: "",
) -> job_pb2.Job:
    """The job as soon as it is so; what happens until then is told, with one more reason to wait
    that only this machine knows.
    """
    with telling() as tell:
        return await _followed(states(job, new), until, followed, _with(also, tell))


def _with(also: Also, tell: Tell) -> Tell:
    def told(job: job_pb2.Job) -> None:
        shown = job_pb2.Job()
        shown.CopyFrom(job)
        shown.blocked.extend(filter(None, [also(job)]))
        tell(shown)

    return told


async def _followed(
    found: AsyncGenerator[job_pb2.Job, None], until: Until, followed: Followed, tell: Tell
) -> job_pb2.Job:
    async with aclosing(found) as seen:
        async for state in seen:
            followed.job = state
            tell(state)
            if until(state):
                return state
    raise AssertionError("states never end by themselves")


async def states(job: str, new: bool) -> AsyncGenerator[job_pb2.Job, None]:
    """Every state, from whichever node answers; when it falls silent, from the next one."""
    begun_s = heard_s = time.monotonic()
    heard = False
    while True:
        try:
            async with reach.client() as client:
                request = job_pb2.WatchJobRequest(job=job)
                answers = client.stub(JobServiceStub).WatchJob(request)
                async for answer in answers:
                    heard, heard_s = True, time.monotonic()
                    yield answer.job
        except McError as error:
            now_s = time.monotonic()
            # Another node may hear of a job later than the one that was asked first.
            behind = heard or (new and now_s - begun_s < NEW_S_MAX)
            passing = error.reason in AWAY or (error.reason == "NOT_FOUND" and behind)
            if not passing or now_s - heard_s > AWAY_S_MAX:
                raise
        await asyncio.sleep(AGAIN_S)


def tell_end(job: job_pb2.Job, *, strict: bool, streamed: bool) -> int:
    """The job as it is at the end of a command; the exit code is the job's."""
    if not (streamed and options().output == "jsonl"):
        show.emit(fields(job), screen(job))
    code = exit_code(job, strict=strict)
    if ended(job):
        counts = job.counts
        if counts.records_quarantined:
            show.next_step(f"`mcctl quarantine ls {job.id}` says what was put aside, and why")
        show.next_step(f"`mcctl receipt {job.id}`")
    return code
