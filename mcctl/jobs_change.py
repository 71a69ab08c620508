"""`mcctl pause`, `resume`, `cancel`, `retry`: what an operator may do to a job."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from mcctl import reach, show
from mcctl.cli import run_async
from mcctl.jobs import JobId, got
from mcctl.jobs_follow import ended
from mcctl.jobs_show import fields, named, screen, state_name
from multicloud.errors import McError
from multicloud.v1 import job_pb2
from multicloud.v1.job_pb2_grpc import JobServiceStub

if TYPE_CHECKING:
    from multicloud.v1.job_pb2_grpc import JobServiceAsyncStub

Call = Callable[["JobServiceAsyncStub"], Awaitable[Any]]


def pause(job: JobId) -> None:
    """Start no new task of a job; what runs is finished. `mcctl resume` goes on."""
    asked = job_pb2.PauseJobRequest(request_id=uuid4().hex, job=job)
    _change(lambda jobs: jobs.PauseJob(asked))


def resume(job: JobId) -> None:
    """Go on with a job that was paused."""
    asked = job_pb2.ResumeJobRequest(request_id=uuid4().hex, job=job)
    _change(lambda jobs: jobs.ResumeJob(asked))


def retry(job: JobId) -> None:
    """Run the failed tasks of a job again."""
    asked = job_pb2.RetryJobRequest(request_id=uuid4().hex, job=job)
    _change(lambda jobs: jobs.RetryJob(asked))


def cancel(job: JobId) -> int:
    """End a job for good; it makes no version. Asks first (-y does not)."""
    return run_async(_cancel(job))


def _change(call: Call) -> None:
    found = run_async(_changed(call))
    show.emit(fields(found), screen(found))


async def _changed(call: Call) -> job_pb2.Job:
    async with reach.client() as client:
        answer = await call(client.stub(JobServiceStub))
    found: job_pb2.Job = answer.job
    return found


async def _cancel(job: str) -> int:
    async with reach.client() as client:
        found = await got(client, job)
        if ended(found):
            what = f"the job {job} has ended: {state_name(found.state)}"
            raise McError("FAILED", what, next=f"`mcctl receipt {job}`")
        if not show.confirm(f"Cancel the job {job} ({named(found)}) for good?"):
            show.note("nothing was cancelled")
            return 1
        asked = job_pb2.CancelJobRequest(request_id=uuid4().hex, job=job)
        found = (await client.stub(JobServiceStub).CancelJob(asked)).job
    show.emit(fields(found), screen(found))
    return 0
