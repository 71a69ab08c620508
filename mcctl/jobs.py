"""`mcctl jobs` and `mcctl job show`, and what the commands about one job share."""

from typing import Annotated

import typer

from mcctl import reach, show
from mcctl.cli import run_async
from mcctl.jobs_show import fields, screen, state_name, table
from multicloud.client import PAGE_SIZE, Client
from multicloud.errors import McError
from multicloud.v1 import job_pb2
from multicloud.v1.job_pb2_grpc import JobServiceStub

job = typer.Typer(no_args_is_help=True)

JobId = Annotated[str, typer.Argument(metavar="JOB", help="Its id.", show_default=False)]
STATES = {state_name(state): state for state in job_pb2.JobState.values() if state}


@job.callback()
def _group() -> None:
    """A group, also while it has one command."""


def jobs(
    state: Annotated[
        list[str] | None,
        typer.Option("--state", metavar="STATE", help=f"Only {', '.join(STATES)}; repeatable."),
    ] = None,
) -> None:
    """Every job: its dataset, state, progress, and why it waits or failed."""
    unknown = [word for word in state or () if word not in STATES]
    if unknown:
        raise McError("USAGE", f"{unknown[0]!r} is no state", next=f"one of {', '.join(STATES)}")
    found = run_async(_jobs([STATES[word] for word in state or ()]))
    show.emit([fields(one) for one in found], table(found))


@job.command("show")
def show_job(job: JobId) -> None:
    """One job in full: its sums, its dollars, and the reason of every wait."""
    found = run_async(_one(job))
    show.emit(fields(found), screen(found))


async def _jobs(states: "list[job_pb2.JobState.ValueType]") -> list[job_pb2.Job]:
    async with reach.client() as client:
        return await listed(client, states)


async def listed(client: Client, states: "list[job_pb2.JobState.ValueType]") -> list[job_pb2.Job]:
    """All jobs of these states, or all."""
    found: list[job_pb2.Job] = []
    token = ""
    while True:
        request = job_pb2.ListJobsRequest(page_size=PAGE_SIZE, page_token=token, states=states)
        page = await client.stub(JobServiceStub).ListJobs(request)
        found += page.jobs
        token = page.next_page_token
        if not token:
            return found


async def _one(job: str) -> job_pb2.Job:
    async with reach.client() as client:
        return await got(client, job)


async def got(client: Client, job: str) -> job_pb2.Job:
    return (await client.stub(JobServiceStub).GetJob(job_pb2.GetJobRequest(job=job))).job
