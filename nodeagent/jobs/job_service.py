"""JobService: any node answers, by its copy of what is decided and by what the steward says."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from multicloud.errors import McError
from multicloud.v1 import job_pb2, records_pb2
from nodeagent.jobs import job_receipt, job_shown
from nodeagent.jobs.header import Header
from nodeagent.jobs.header_making import REQUEST_ID_CHARS_MAX, Making
from nodeagent.jobs.job_quarantine import Opened, quarantined
from nodeagent.jobs.plane import JobPlane
from nodeagent.jobs.planning_estimate import Estimating, planned
from nodeagent.rpc.call import Call
from nodeagent.rpc.pages import page

GET = "/multicloud.v1.JobService/GetJob"
LOOK_EVERY_S, TELL_EVERY_S = 0.3, 1.0
ASK_S = 2.0


class Watcher(Protocol):
    """Telemetry, as far as a job begins there."""

    def span(
        self, name: str, *, parent: str | None = None, **facts: Any
    ) -> AbstractContextManager[Any]: ...


Ask = Callable[[str, job_pb2.GetJobRequest, Call], Awaitable[job_pb2.GetJobResponse]]
STATES_ENDED = (
    job_pb2.JOB_STATE_DONE,
    job_pb2.JOB_STATE_FAILED,
    job_pb2.JOB_STATE_CANCELLED,
)


@dataclass(slots=True)
class JobService:
    plane: JobPlane
    making: Making
    estimating: Estimating
    ask: Ask  # Another node, for the caller.
    opened: Opened  # The plain bytes of a chunk of a job.
    watcher: Watcher

    # --- making

    async def plan_job(
        self, request: job_pb2.PlanJobRequest, call: Call
    ) -> job_pb2.PlanJobResponse:
        await self.making.check(request.spec)
        return await self.estimating.plan("", request.spec, request.counted)

    async def create_job(
        self, request: job_pb2.CreateJobRequest, call: Call
    ) -> job_pb2.CreateJobResponse:
        if len(request.request_id) > REQUEST_ID_CHARS_MAX:
            said = f"a request id has no more than {REQUEST_ID_CHARS_MAX} characters"
            raise McError("BAD_REQUEST", said)
        await self.making.check(request.spec)
        plan = await self.estimating.plan("", request.spec, request.counted)
        limit = request.spec.usd_max
        if limit and plan.cost.planned_usd > limit:
            said = f"it would cost {plan.cost.planned_usd:.2f} dollars, {limit:.2f} are allowed"
            raise McError("FAILED", said, next="raise --max-usd, or ask for fewer replicas")
        if request.validate_only:
            header = records_pb2.JobHeader(spec=request.spec, planned=planned(plan))
            return job_pb2.CreateJobResponse(job=job_shown.told(header, self.plane.world))
        made = await self.make(request, call.caller.uri, planned(plan))
        return job_pb2.CreateJobResponse(job=await self._shown(made, call))

    async def make(
        self, request: job_pb2.CreateJobRequest, who: str, plan: job_pb2.Cost | None = None
    ) -> Header:
        """Checked before, or of a batch whose standing job was."""
        parent, name = request.traceparent or None, request.spec.dataset
        with self.watcher.span("job.submit", parent=parent, dataset=name) as span:
            made = await self.making.make(request, who, span, plan or job_pb2.Cost())
            span.fact(job=made.id)
        self.plane.learn(made)
        return made

    # --- telling

    async def get_job(self, request: job_pb2.GetJobRequest, call: Call) -> job_pb2.GetJobResponse:
        header = await self._header(request.job)
        return job_pb2.GetJobResponse(job=await self._shown(header, call))

    async def list_jobs(
        self, request: job_pb2.ListJobsRequest, call: Call
    ) -> job_pb2.ListJobsResponse:
        wanted = set(request.states)
        headers = [h for h in self.plane.headers.all() if not wanted or _may_be(h, wanted)]
        given, token = page(headers, request.page_size, request.page_token, lambda h: h.id)
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._shown(header, call)) for header in given]
        jobs = [task.result() for task in asked]
        found = [job for job in jobs if not wanted or job.state in wanted]
        return job_pb2.ListJobsResponse(jobs=found, next_page_token=token)

    async def watch_job(
        self, request: job_pb2.WatchJobRequest, call: Call
    ) -> AsyncIterator[job_pb2.WatchJobResponse]:
        clock_s = self.plane.world.clock_s
        last, told_s = job_pb2.Job(), float("-inf")
        while True:
            job = await self._shown(await self._header(request.job), call)
            ended = job.state in STATES_ENDED
            if ended or job.state != last.state or clock_s() - told_s >= TELL_EVERY_S:
                last, told_s = job, clock_s()
                yield job_pb2.WatchJobResponse(job=job)
            if ended:
                return
            await asyncio.sleep(LOOK_EVERY_S)

    async def get_receipt(
        self, request: job_pb2.GetReceiptRequest, call: Call
    ) -> AsyncIterator[job_pb2.GetReceiptResponse]:
        header = await self._header(request.job)
        yield job_pb2.GetReceiptResponse(job=await self._shown(header, call))
        told = await job_receipt.read(header.value, self.plane.world, self.plane.keeping)
        for chunk in told.chunks():
            yield job_pb2.GetReceiptResponse(chunk=chunk)

    async def list_quarantine(
        self, request: job_pb2.ListQuarantineRequest, call: Call
    ) -> job_pb2.ListQuarantineResponse:
        header = (await self._header(request.job)).value
        told = await job_receipt.read(header, self.plane.world, self.plane.keeping)
        return await quarantined(
            header, told.results, self.opened, request.page_size, request.page_token
        )

    # --- changing

    async def pause_job(
        self, request: job_pb2.PauseJobRequest, call: Call
    ) -> job_pb2.PauseJobResponse:
        changed = await self._pause(request.job, paused=True)
        return job_pb2.PauseJobResponse(job=await self._shown(changed, call))

    async def resume_job(
        self, request: job_pb2.ResumeJobRequest, call: Call
    ) -> job_pb2.ResumeJobResponse:
        changed = await self._pause(request.job, paused=False)
        return job_pb2.ResumeJobResponse(job=await self._shown(changed, call))

    async def _pause(self, job: str, *, paused: bool) -> Header:
        def edit(value: records_pb2.JobHeader) -> None:
            _demand_open(value)
            value.paused = paused

        return await self._changed(job, edit)

    async def cancel_job(
        self, request: job_pb2.CancelJobRequest, call: Call
    ) -> job_pb2.CancelJobResponse:
        job = await self._shown(await self._header(request.job), call)

        def edit(value: records_pb2.JobHeader) -> bool | None:
            if value.outcome.state == job_pb2.JOB_STATE_CANCELLED:
                return False
            _demand_open(value)
            value.outcome.state = job_pb2.JOB_STATE_CANCELLED
            value.outcome.error = f"cancelled by {call.caller.uri}"
            value.outcome.counts.CopyFrom(job.counts)
            value.outcome.cost.CopyFrom(job.cost)
            value.outcome.ended_unix_ms = self.plane.world.unix_ms()
            return None

        changed = await self._changed(request.job, edit)
        return job_pb2.CancelJobResponse(job=await self._shown(changed, call))

    async def retry_job(
        self, request: job_pb2.RetryJobRequest, call: Call
    ) -> job_pb2.RetryJobResponse:
        """A new epoch, in which nothing counts as given up."""

        def edit(value: records_pb2.JobHeader) -> None:
            if value.outcome.state != job_pb2.JOB_STATE_FAILED:
                _demand_open(value)
            value.ClearField("outcome")
            value.epoch += 1
            value.retried_epoch = value.epoch

        changed = await self._changed(request.job, edit)
        return job_pb2.RetryJobResponse(job=await self._shown(changed, call))

    async def _changed(
        self, job: str, edit: Callable[[records_pb2.JobHeader], bool | None]
    ) -> Header:
        changed = await self.plane.headers.change(job, edit)
        self.plane.learn(changed)
        return changed

    # --- looking

    async def _header(self, job: str) -> Header:
        """By this node's copy; what is not in it is asked for."""
        known = self.plane.known.get(job)
        return known or await self.plane.headers.get(job)

    async def _shown(self, header: Header, call: Call) -> job_pb2.Job:
        value, world = header.value, self.plane.world
        if header.decided:
            return job_shown.told(value, world)
        run = self.plane.runs.get(header.id)
        if run is not None:
            return job_shown.running(run, world)
        if (follows := self.plane.follows.get(header.id)) is not None:
            return job_shown.following(follows, world)
        if value.steward == world.own or call.caller.via is not None:
            return job_shown.told(value, world, "its steward begins")
        asked = job_pb2.GetJobRequest(job=header.id)
        left_s = min(ASK_S, call.remaining_s())
        about = replace(call, method=GET, deadline_s=left_s, started_s=time.monotonic())
        try:
            job = (await self.ask(value.steward, asked, about)).job
            # What was decided a moment ago may not have come to the steward yet.
            if job.epoch < value.epoch:
                return job_shown.told(value, world, "its steward begins")
            if value.paused and job.state not in STATES_ENDED:
                job.state = job_pb2.JOB_STATE_PAUSED
            return job
        except McError as error:
            name = world.name_of(value.steward)
            why = (
                f"its steward {name} does not answer, so its figures are not known: {error.message}"
            )
            return job_shown.told(value, world, why)


def _demand_open(value: records_pb2.JobHeader) -> None:
    if value.HasField("outcome"):
        state = job_pb2.JobState.Name(value.outcome.state).removeprefix("JOB_STATE_").lower()
        said = f"job {value.id} has ended: it is {state}"
        raise McError("FAILED", said, next="submit it again for a new version")


def _may_be(header: Header, wanted: set["job_pb2.JobState.ValueType"]) -> bool:
    if header.decided:
        return header.value.outcome.state in wanted
    return bool(wanted.difference(STATES_ENDED))
