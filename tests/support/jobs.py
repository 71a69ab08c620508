"""A node that answers for jobs as a test says, behind the real guard, and somebody who asks it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from identity.records import trust_json
from multicloud.context import Context, Contexts, Endpoint
from multicloud.errors import McError
from multicloud.v1 import common_pb2, job_pb2
from tests.support.nodes import Running, free_ports, make_place, running
from tests.support.people import CLUSTER, People

JOB = "abcdefghijkmnpqrstuv"
SPEC = job_pb2.JobSpec(dataset="corpus", source="node://node-41/srv/raw")
ENDED = (job_pb2.JOB_STATE_DONE, job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_CANCELLED)


def job(
    state: "job_pb2.JobState.ValueType" = job_pb2.JOB_STATE_RUNNING, **more: Any
) -> job_pb2.Job:
    return job_pb2.Job(id=JOB, **{"spec": SPEC, "state": state, "version": "1", **more})


@dataclass
class SaidJobs:
    """JobService from a script: whoever watches sees each state that the test sets."""

    found: dict[str, job_pb2.Job] = field(default_factory=dict)
    asked: list[Any] = field(default_factory=list)
    refuse: McError | None = None
    plan: job_pb2.PlanJobResponse = field(default_factory=job_pb2.PlanJobResponse)
    parts: list[job_pb2.GetReceiptResponse] = field(default_factory=list)
    quarantined: list[job_pb2.QuarantinedRecord] = field(default_factory=list)
    watching: int = 0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def set(self, one: job_pb2.Job) -> None:
        async with self._changed:
            self.found[one.id] = one
            self._changed.notify_all()

    def _one(self, request: Any) -> job_pb2.Job:
        self.asked.append(request)
        if request.job not in self.found:
            raise McError("NOT_FOUND", f"there is no job {request.job}")
        return self.found[request.job]

    async def plan_job(self, request: Any, call: Any) -> job_pb2.PlanJobResponse:
        self.asked.append(request)
        return self.plan

    async def create_job(self, request: Any, call: Any) -> job_pb2.CreateJobResponse:
        self.asked.append(request)
        if self.refuse:
            raise self.refuse
        one = job(job_pb2.JOB_STATE_LISTING, spec=request.spec)
        self.found.setdefault(JOB, one)
        return job_pb2.CreateJobResponse(job=self.found[JOB])

    async def get_job(self, request: Any, call: Any) -> job_pb2.GetJobResponse:
        return job_pb2.GetJobResponse(job=self._one(request))

    async def list_jobs(self, request: Any, call: Any) -> job_pb2.ListJobsResponse:
        chosen = [j for j in self.found.values() if not request.states or j.state in request.states]
        at = int(request.page_token or 0)
        more = str(at + 1) if at + 1 < len(chosen) else ""
        return job_pb2.ListJobsResponse(jobs=chosen[at : at + 1], next_page_token=more)

    async def watch_job(self, request: Any, call: Any) -> AsyncIterator[job_pb2.WatchJobResponse]:
        self.watching += 1
        while True:
            one = self._one(request)
            yield job_pb2.WatchJobResponse(job=one)
            if one.state in ENDED:
                return
            async with self._changed:
                await self._changed.wait_for(lambda: self.found[request.job] is not one)  # noqa: B023

    async def pause_job(self, request: Any, call: Any) -> job_pb2.PauseJobResponse:
        return job_pb2.PauseJobResponse(job=self._to(request, job_pb2.JOB_STATE_PAUSED))

    async def resume_job(self, request: Any, call: Any) -> job_pb2.ResumeJobResponse:
        return job_pb2.ResumeJobResponse(job=self._to(request, job_pb2.JOB_STATE_RUNNING))

    async def cancel_job(self, request: Any, call: Any) -> job_pb2.CancelJobResponse:
        return job_pb2.CancelJobResponse(job=self._to(request, job_pb2.JOB_STATE_CANCELLED))

    async def retry_job(self, request: Any, call: Any) -> job_pb2.RetryJobResponse:
        return job_pb2.RetryJobResponse(job=self._to(request, job_pb2.JOB_STATE_RUNNING))

    def _to(self, request: Any, state: "job_pb2.JobState.ValueType") -> job_pb2.Job:
        changed = job_pb2.Job()
        changed.CopyFrom(self._one(request))
        changed.state = state
        self.found[changed.id] = changed
        return changed

    async def get_receipt(
        self, request: Any, call: Any
    ) -> AsyncIterator[job_pb2.GetReceiptResponse]:
        yield job_pb2.GetReceiptResponse(job=self._one(request))
        for part in self.parts:
            yield part

    async def list_quarantine(self, request: Any, call: Any) -> job_pb2.ListQuarantineResponse:
        self._one(request)
        at = int(request.page_token or 0)
        more = str(at + 1) if at + 1 < len(self.quarantined) else ""
        return job_pb2.ListQuarantineResponse(
            records=self.quarantined[at : at + 1], next_page_token=more
        )


@dataclass
class Account:
    """Somebody who types commands."""

    jobs: SaidJobs
    node: Running
    env: dict[str, str]
    folder: Path

    async def starts(self, *words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mcctl", *words),
            env=self.env,
            cwd=self.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def types(self, *words: str) -> tuple[int, str, str]:
        return await ending(await self.starts(*words))


async def ending(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    said, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, said.decode(), errors.decode()


@asynccontextmanager
async def account(
    people: People, folder: Path, number: int, served: Callable[[SaidJobs], list[Any]]
) -> AsyncIterator[Account]:
    """A node of its own whose jobs are those that the test says."""
    jobs = SaidJobs()
    async with running(make_place(people, folder, number)) as node:
        servicers = {**node.node._servicers, "JobService": served(jobs)}
        address = f"127.0.0.1:{free_ports(1)[0]}"
        server = node.node._server(address, "listen.api", node.node._guard(servicers))
        await server.start()
        env = os.environ | {"XDG_CONFIG_HOME": str(folder / "config")}
        who = people.operator("ann", "admin")
        endpoint = Endpoint(node.place.id, node.place.name, address)
        trust = trust_json(people.authority.trust)
        Contexts(env).save(
            Context(CLUSTER, CLUSTER, (endpoint,), who.certificate_pem, who.key_pem, trust)
        )
        yield Account(jobs, node, env, folder)
        await server.stop(0.2)


def chunk(index: int, *nodes: str) -> job_pb2.GetReceiptResponse:
    copies = [common_pb2.Copy(chunk_id=bytes([index]) * 32, node=one, volume="v") for one in nodes]
    ref = common_pb2.ChunkRef(id=bytes([index]) * 32, size_bytes=1000)
    found = job_pb2.ReceiptChunk(index=index, chunk=ref, trace_id=f"{index:032x}", copies=copies)
    return job_pb2.GetReceiptResponse(chunk=found)
