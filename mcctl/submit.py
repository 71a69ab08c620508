"""`mcctl submit`: a job from a source to a dataset version, followed to where it was asked for."""

import os
from typing import Annotated
from uuid import uuid4

import typer

from mcctl import plan, reach, show
from mcctl.jobs import got
from mcctl.jobs_follow import (
    AWAY,
    Followed,
    Until,
    acked,
    attended,
    ended,
    tell_end,
)
from mcctl.jobs_show import fields, named, state_name
from mcctl.options import options
from mcctl.plan_counted import counted
from mcctl.submit_options import (
    REPLICAS,
    SETTLE,
    Ack,
    Allow,
    Anew,
    Batch,
    BucketCopy,
    BwLimit,
    DatasetName,
    Exclude,
    Follow,
    Include,
    MaxUsd,
    Near,
    Origin,
    PipelineFile,
    Replicas,
    RequestId,
    Settle,
    Source,
    Spread,
    Strict,
    following,
    origin,
    origin_of,
    spec,
)
from mcctl.submit_serving import followed_and_served
from multicloud.client import Client
from multicloud.errors import McError
from multicloud.v1 import job_pb2
from multicloud.v1.job_pb2_grpc import JobServiceStub

TRIES = 3  # The same request is the same job, so it may be sent to another node again.
DECIDE_S_MAX = 30.0
Resume = Annotated[
    str, typer.Option("--resume", metavar="JOB", help="Serve its files again; nothing else.")
]


def submit(
    source: Source = "",
    name: DatasetName = "",
    pipeline: PipelineFile = None,
    replicas: Replicas = REPLICAS,
    spread: Spread = None,
    near: Near = "",
    allow: Allow = None,
    ack: Ack = 0,
    bucket_copy: BucketCopy = "",
    include: Include = None,
    exclude: Exclude = None,
    bwlimit: BwLimit = "",
    max_usd: MaxUsd = 0.0,
    strict: Strict = False,
    anew: Anew = False,
    request_id: RequestId = "",
    follow: Follow = False,
    batch: Batch = None,
    settle: Settle = SETTLE,
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay to the end, also without a terminal.")
    ] = False,
    resume: Resume = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only the plan.")] = False,
) -> int:
    """Make a dataset version of a source: through a pipeline, into copies as the policy asks.

    On a terminal it follows to the end. Else it returns once the job is decided, for files of
    this machine once every byte is acked. Ctrl-C leaves the job alone. With --follow it returns
    once the standing job is decided.
    """
    if resume:
        if source or name or dry_run:
            raise McError("USAGE", "--resume takes a job and nothing else", next="drop the rest")
        return attended(lambda followed: _resumed(resume, followed, wait=wait, strict=strict))
    found = _origin(source, name)
    wanted = spec(
        found,
        name=name,
        pipeline=pipeline,
        replicas=replicas,
        spread=spread,
        near=near,
        allow=allow,
        ack=ack,
        bucket_copy=bucket_copy,
        include=include,
        exclude=exclude,
        bwlimit=bwlimit,
        max_usd=max_usd,
        strict=strict,
        anew=anew,
        follow=following(found, follow=follow, settle=settle, batch=batch),
    )
    if dry_run:
        plan.planned(found, wanted)
        return 0
    request = _request(request_id, wanted)
    return attended(lambda followed: _submitted(request, found, followed, wait=wait))


def _origin(source: str, name: str) -> Origin:
    if not source or not name:
        missing = "a source" if not source else "the dataset's name"
        raise McError("USAGE", f"{missing} is missing", next="mcctl submit SOURCE --name NAME")
    return origin(source)


def _request(request_id: str, wanted: job_pb2.JobSpec) -> job_pb2.CreateJobRequest:
    return job_pb2.CreateJobRequest(
        request_id=request_id or uuid4().hex, spec=wanted, traceparent=_traceparent()
    )


async def _submitted(
    request: job_pb2.CreateJobRequest, source: Origin, followed: Followed, *, wait: bool
) -> int:
    size = await counted(source.folder, request.spec)
    if size is not None:
        request.counted.CopyFrom(size)
    async with reach.client() as client:
        if not await _may_cost(client, request.spec, size):
            show.note("nothing was submitted")
            return 1
    job = followed.job = await _created(request)
    return await _on(job, source, followed, wait=wait, strict=job.spec.strict)


async def _resumed(job: str, followed: Followed, *, wait: bool, strict: bool) -> int:
    async with reach.client() as client:
        found = followed.job = await got(client, job)
        if ended(found):
            return tell_end(found, strict=strict, streamed=False)
        source = origin_of(found)
        if found.state in (job_pb2.JOB_STATE_WAITING, job_pb2.JOB_STATE_PAUSED):
            asked = job_pb2.ResumeJobRequest(request_id=uuid4().hex, job=job)
            followed.job = (await client.stub(JobServiceStub).ResumeJob(asked)).job
    return await _on(found, source, followed, wait=wait, strict=strict)


async def _on(
    job: job_pb2.Job, source: Origin, followed: Followed, *, wait: bool, strict: bool
) -> int:
    """The job from here on, as far as somebody looks."""
    on_screen = show.on_terminal() and options().output == "table"
    stay = wait or (on_screen and not job.spec.HasField("follow"))
    streams = options().output == "jsonl" and wait
    if not streams and options().output == "table":
        show.note(f"job {job.id}: {named(job)} is {state_name(job.state)}")
    if not stay and source.folder is None:
        _tell_decided(job)
        return 0
    until: Until = ended if stay else acked
    job = await followed_and_served(job, source, until, followed)
    if stay or ended(job):
        return tell_end(job, strict=strict, streamed=wait)
    _tell_decided(job)
    return 0


def _tell_decided(job: job_pb2.Job) -> None:
    known = fields(job)
    show.emit({key: known[key] for key in ("job", "dataset", "version", "state")}, job.id)
    show.next_step(f"`mcctl watch {job.id}`")


async def _may_cost(
    client: Client, wanted: job_pb2.JobSpec, size: job_pb2.CountedSource | None
) -> bool:
    """Above the dollars that the context allows without a question, a person is asked."""
    limit_usd = client.context.confirm_usd
    try:
        planned = await plan.ask(client, wanted, size)
    except McError as unknown:
        if unknown.reason not in ("SOURCE_AWAY", "DEADLINE"):
            raise
        show.note(f"what it costs is not known before: {unknown.message}")
        return True
    usd, prices_of = planned.cost.planned_usd, planned.cost.prices_date
    said = f"${usd:.2f} at prices of {prices_of}"
    if usd <= limit_usd:
        if prices_of:
            show.note(f"about {said}")
        return True
    return show.confirm(f"It would cost {said}, more than ${limit_usd:.2f}. Submit it?")


async def _created(request: job_pb2.CreateJobRequest) -> job_pb2.Job:
    tried = 0
    while True:
        tried += 1
        try:
            async with reach.client() as client:
                jobs = client.stub(JobServiceStub)
                return (await jobs.CreateJob(request, timeout=DECIDE_S_MAX)).job
        except McError as error:
            if error.reason not in AWAY or tried == TRIES:
                raise


def _traceparent() -> str:
    """Of whoever runs this command, as W3C names it; else the job begins a trace."""
    return os.environ.get("TRACEPARENT", "")
