"""A worker's end of one job: says what there is room for, runs tasks, follows the steward.

Tasks that run go on when the steward changes: their results are taken from anyone.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from random import Random

import structlog

from multicloud.errors import McError
from multicloud.v1 import job_pb2, records_pb2, task_pb2
from nodeagent.core.backoff import delay_s
from nodeagent.jobs.working.stages import standing
from nodeagent.jobs.working.task import JobMeans, TaskRun

_log = structlog.stdlib.get_logger(__name__)
CREDIT_EVERY_S = 1.0  # A steward takes a silent worker's tasks back after a few seconds.
LOOK_EVERY_S = 0.1  # At who is the steward.
BACKOFF_S, BACKOFF_S_MAX = 0.1, 2.0
WAITS_MAX = 8  # Told to the steward; more of them say the same.
REFUSED_MAX = 4096
LINKS_MAX = 64  # Peers told of at once, those that were sent to last.

Header = Callable[[], records_pb2.JobHeader]
Requests = AsyncIterator[task_pb2.PullTasksRequest]
Pull = Callable[[str, str, Requests], AsyncIterator[task_pb2.PullTasksResponse]]


@dataclass(slots=True)
class PullLoop:
    means: JobMeans
    header: Header
    pull: Pull
    rng: Random
    running: dict[str, TaskRun] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _refused: deque[task_pb2.TaskRefused] = field(default_factory=lambda: deque(maxlen=REFUSED_MAX))
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _useful_s: float = 0.0  # When the last task came.
    _failures: int = 0  # Of streams, in a row.

    @property
    def job(self) -> str:
        return self.means.order.job

    async def run(self) -> None:
        """Until it is cancelled; then its tasks are, too."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._with(self.header().steward, group)
                base_s, most_s = BACKOFF_S, BACKOFF_S_MAX
                pause_s = delay_s(self._failures, self.rng, base_s=base_s, delay_s_max=most_s)
                await asyncio.sleep(pause_s)

    async def _with(self, steward: str, group: asyncio.TaskGroup) -> None:
        """As long as that node is the steward and talks to us."""
        listening = group.create_task(self._listen(steward, group))
        try:
            while not listening.done() and self.header().steward == steward:
                await asyncio.wait({listening}, timeout=LOOK_EVERY_S)
        finally:
            listening.cancel()
            await asyncio.wait({listening})

    async def _listen(self, steward: str, group: asyncio.TaskGroup) -> None:
        answers = self.pull(self.job, steward, self._says())
        try:
            async for answer in answers:
                self._failures = 0
                self._heard(answer, group)
            self._failures += 1
        except McError as error:
            self._failures += 1
            if error.reason != "SUPERSEDED":
                _log.info("steward_away", job=self.job, steward=steward, why=error.message)
        finally:
            await _closed(answers)

    # --- what is said

    async def _says(self) -> Requests:
        while True:
            self._changed.clear()
            while self._refused:
                yield task_pb2.PullTasksRequest(refused=self._refused.popleft())
            yield task_pb2.PullTasksRequest(credit=self._credit())
            try:
                async with asyncio.timeout(CREDIT_EVERY_S):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _credit(self) -> task_pb2.WorkerCredit:
        room = self.means.room
        useful = asyncio.get_running_loop().time() - self._useful_s < 2 * CREDIT_EVERY_S
        return task_pb2.WorkerCredit(
            bytes=room.free_bytes,
            slots=room.offer(self.job, running=len(self.running), useful=useful),
            running=list(self.running),
            waits=self.waits()[:WAITS_MAX],
            stages=standing(run.stages for run in self.running.values()),
            links=self._links(),
        )

    def _links(self) -> list[job_pb2.LinkUse]:
        found = self.means.links().items()
        return [
            job_pb2.LinkUse(to_node=to, bytes=u.bytes, seconds=u.seconds, waited_s=u.waited_s)
            for to, u in list(found)[-LINKS_MAX:]
        ]

    def waits(self) -> list[str]:
        """Why work for this job stands still here, in plain words."""
        found = self.means.room.waits()
        if self.running and self.means.reading.waits:
            found.append(self.means.reading.waits)
        if self.running and self.means.ledger.waits:
            found.append(f"the keepers cannot be told: {self.means.ledger.waits}")
        return found

    # --- what is heard

    def _heard(self, answer: task_pb2.PullTasksResponse, group: asyncio.TaskGroup) -> None:
        match answer.WhichOneof("part"):
            case "order":
                self.means.order = answer.order
            case "task":
                self._useful_s = asyncio.get_running_loop().time()
                if answer.task.id not in self.running:
                    self._start(answer.task, group)
            case "withdrawn":
                task = self._tasks.get(answer.withdrawn.task)
                if task is not None:
                    task.cancel()

    def _start(self, task: task_pb2.Task, group: asyncio.TaskGroup) -> None:
        run = self.running[task.id] = TaskRun(self.means, task)
        work = self._tasks[task.id] = group.create_task(self._run(run))

        def ended(_: asyncio.Task[None]) -> None:
            self.running.pop(task.id, None)
            if self._tasks.get(task.id) is work:
                del self._tasks[task.id]
            self._changed.set()

        work.add_done_callback(ended)

    async def _run(self, run: TaskRun) -> None:
        clock = asyncio.get_running_loop().time
        began_s, outcome = clock(), "withdrawn"
        try:
            await run.run()
            outcome = "acked"
        except McError as error:
            outcome = error.reason.lower()
            self._refuse(run, error)
        except Exception as error:  # noqa: BLE001 - A defect that one task brings up ends that one.
            outcome = "internal"
            _log.exception("task_broke", job=self.job, task=run.task.id)
            self._refuse(run, McError("INTERNAL", f"{type(error).__name__}: {error}"))
        finally:
            watcher = self.means.watcher
            watcher.count("mc.work.tasks", outcome=outcome)
            watcher.observe("mc.work.task.duration", clock() - began_s)

    def _refuse(self, run: TaskRun, error: McError) -> None:
        task = run.task.id
        _log.info("task_refused", job=self.job, task=task, reason=error.reason, why=str(error))
        told = task_pb2.TaskRefused(
            task=task, reason=error.reason, message=error.message, trace_id=run.trace_id
        )
        self._refused.append(told)


async def _closed(answers: AsyncIterator[task_pb2.PullTasksResponse]) -> None:
    close = getattr(answers, "aclose", None)
    if close is not None:
        await close()
