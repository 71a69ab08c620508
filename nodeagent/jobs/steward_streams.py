"""The workers' streams of one steward: who pulls, and what is on its way to each."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field

import structlog

from coordinator.types import NodeId
from multicloud.errors import McError
from multicloud.v1 import task_pb2

_log = structlog.stdlib.get_logger(__name__)
ANSWERS_MAX = 4096
Answers = asyncio.Queue[task_pb2.PullTasksResponse | None]  # None: the stream is over.


@dataclass(slots=True)
class WorkerStreams:
    heard: Callable[[NodeId, task_pb2.PullTasksRequest], None]
    _shared: int = 0  # Among so many the bandwidth of the job was shared out.
    _answers: dict[NodeId, Answers] = field(default_factory=dict)
    _hearing: dict[NodeId, asyncio.Task[None]] = field(default_factory=dict)

    async def serve(
        self,
        group: asyncio.TaskGroup,
        worker: NodeId,
        order: task_pb2.WorkOrder,
        requests: AsyncIterator[task_pb2.PullTasksRequest],
    ) -> AsyncGenerator[task_pb2.PullTasksResponse, None]:
        """The order first, then tasks as it has room. A worker's newer stream ends its older one.

        What hears lives in the steward's group: no group may span the yields of a generator.
        """
        self._end(worker)
        answers: Answers = asyncio.Queue(ANSWERS_MAX)
        self._answers[worker] = answers
        hearing = group.create_task(self._hear(worker, requests, answers))
        self._hearing[worker] = hearing
        try:
            yield task_pb2.PullTasksResponse(order=order)
            while (answer := await answers.get()) is not None:
                yield answer
        finally:
            hearing.cancel()
            if self._answers.get(worker) is answers:
                del self._answers[worker], self._hearing[worker]

    def say(self, worker: NodeId, answer: task_pb2.PullTasksResponse) -> bool:
        """False when nobody listens, or much too slowly."""
        answers = self._answers.get(worker)
        if answers is None or answers.full():
            return False
        answers.put_nowait(answer)
        return True

    @property
    def count(self) -> int:
        return len(self._answers)

    def share(self, order: Callable[[], task_pb2.WorkOrder]) -> None:
        """Whenever workers come or go, each is told what is its part now."""
        if self._shared != self.count:
            self._shared = self.count
            for worker in list(self._answers):
                self.say(worker, task_pb2.PullTasksResponse(order=order()))

    def close(self) -> None:
        for worker in list(self._answers):
            self._end(worker)

    async def _hear(
        self,
        worker: NodeId,
        requests: AsyncIterator[task_pb2.PullTasksRequest],
        answers: Answers,
    ) -> None:
        try:
            async for request in requests:
                self.heard(worker, request)
        except McError as error:  # Its stream stood still; it comes again when it lives.
            _log.info("worker_left", worker=worker, reason=error.reason, why=error.message)
        finally:
            _over(answers)

    def _end(self, worker: NodeId) -> None:
        answers, hearing = self._answers.pop(worker, None), self._hearing.pop(worker, None)
        if answers is not None:
            _over(answers)
        if hearing is not None:
            hearing.cancel()


def _over(answers: Answers) -> None:
    while answers.full():
        answers.get_nowait()
    answers.put_nowait(None)
