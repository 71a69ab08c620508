"""TaskService: what the steward of a job offers to workers, from near and from afar."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

import grpc

from coordinator.types import NodeId
from multicloud.errors import McError
from multicloud.status import decode
from multicloud.v1 import task_pb2, task_pb2_grpc
from nodeagent.jobs.plane_world import JobWorld
from nodeagent.jobs.steward_run import Runs
from nodeagent.rpc.call import Call

Requests = AsyncIterator[task_pb2.PullTasksRequest]
Answers = AsyncGenerator[task_pb2.PullTasksResponse, None]


@dataclass(slots=True)
class TaskService:
    runs: Runs

    async def pull_tasks(self, requests: Requests, call: Call) -> Answers:
        worker = call.caller.holder.identity.name
        async with aclosing(self.serve(worker, requests)) as answers:
            async for answer in answers:
                yield answer

    async def serve(self, worker: NodeId, requests: Requests) -> Answers:
        """The worker says hello first, and for which job."""
        first = await anext(requests, None)
        if first is None or not first.HasField("hello"):
            raise McError("BAD_REQUEST", "a worker says hello first")
        job = first.hello.job
        run = self.runs(job)
        if run is None:
            said = f"this node is not the steward of job {job}"
            raise McError("SUPERSEDED", said, facts={"job": job})
        async with aclosing(run.serve(worker, requests)) as answers:
            async for answer in answers:
                yield answer


@dataclass(slots=True)
class Pulling:
    """How this node's worker reaches the steward of a job, wherever it is."""

    world: JobWorld
    service: TaskService

    async def pull(self, job: str, steward: NodeId, requests: Requests) -> Answers:
        """What the steward says; the hello is said for the worker. Raises why the stream ended."""
        said = _greeted(job, requests)
        if steward == self.world.own:
            async with aclosing(self.service.serve(self.world.own, said)) as answers:
                async for answer in answers:
                    yield answer
            return
        stub = task_pb2_grpc.TaskServiceStub(self.world.channel(steward))
        call = stub.PullTasks(said)
        try:
            async for answer in call:
                yield answer
        except grpc.aio.AioRpcError as error:
            raise decode(error, steward) from error
        finally:
            call.cancel()


async def _greeted(job: str, requests: Requests) -> AsyncIterator[task_pb2.PullTasksRequest]:
    yield task_pb2.PullTasksRequest(hello=task_pb2.WorkerHello(job=job))
    async for request in requests:
        yield request
