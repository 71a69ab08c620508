"""All jobs of one node, joined: its ledgers, the stewards and workers that live here, and who takes
over when a steward is down.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from multicloud.errors import McError
from multicloud.v1 import job_pb2, records_pb2
from nodeagent.council.contract import Council
from nodeagent.jobs.contract import Manifests, Sources, Working
from nodeagent.jobs.datasets.making import Datasets
from nodeagent.jobs.following.run import FollowMeans, FollowRun
from nodeagent.jobs.header import JOBS, Header, Headers, read_header, undecided
from nodeagent.jobs.keeping import Keeping
from nodeagent.jobs.ledger_service import LedgerService
from nodeagent.jobs.plane_succession import Succession
from nodeagent.jobs.plane_world import JobWorld
from nodeagent.jobs.sources.making import SourcesPart
from nodeagent.jobs.steward_ending import Ended, Ending, version_key
from nodeagent.jobs.steward_run import Means, StewardRun
from nodeagent.jobs.steward_safety import Safety
from nodeagent.jobs.task_service import Pulling, TaskService
from nodeagent.store.volumes import Volumes

_log = structlog.stdlib.get_logger(__name__)
LOOK_EVERY_S = 0.25
AGAIN_S = 1.0
FOLDER = "ledgers"
KEEP_S = 7 * 24 * 3600.0  # A ledger after its job has ended: the receipt is read from it.


async def _nobody_makes(request: job_pb2.CreateJobRequest, submitter: str) -> Header:
    raise McError("UNSUPPORTED", "this node makes no jobs")


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What jobs stand on."""

    council: Council
    sources: Sources
    working: Working | None  # None: this node works on nothing.
    manifests: Manifests
    safety: Safety
    store: Volumes | None = None
    ended: Callable[[records_pb2.JobHeader, Ended], None] = lambda header, run: None
    sources_part: SourcesPart | None = None  # This node's own, for laptops and other nodes.
    make_batch: Callable[[job_pb2.CreateJobRequest, str], Awaitable[Header]] = _nobody_makes
    keeping: Keeping | None = None  # None: on this node's disk, in the folder of its state.


@dataclass(slots=True)
class JobPlane:
    world: JobWorld
    near: Neighbours
    folder: Path
    datasets: Datasets
    keeping: Keeping = field(init=False)
    headers: Headers = field(init=False)
    ending: Ending = field(init=False)
    tasks: TaskService = field(init=False)
    pulling: Pulling = field(init=False)
    runs: dict[str, StewardRun] = field(default_factory=dict)
    follows: dict[str, FollowRun] = field(default_factory=dict)  # Of standing jobs.
    known: dict[str, Header] = field(default_factory=dict)  # Newest that came here.
    _stewards: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _workers: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _unpinned: set[str] = field(default_factory=set)  # Ended, and nothing of them is pinned here.
    _forgotten: set[str] = field(default_factory=set)  # Their ledgers are gone, too.
    _group: asyncio.TaskGroup | None = None
    _succession: Succession = field(init=False)

    def __post_init__(self) -> None:
        self.keeping = self.near.keeping or Keeping(self.folder / FOLDER)
        self.headers = Headers(self.near.council)
        near = self.near
        self.ending = Ending(self.world, self.headers, near.council, near.manifests, near.ended)
        self.tasks = TaskService(self.runs.get)
        self.pulling = Pulling(self.world, self.tasks)
        self._succession = Succession(self.world, self.headers)

    def has_ended(self, job: str) -> bool:
        known = self.known.get(job)
        return known is not None and known.decided

    def keeps(self) -> Sequence[str]:
        """Why this node is needed by jobs that have not ended."""
        return [
            f"it keeps the ledger of job {one.id} ({one.value.spec.dataset}), which has not ended"
            for one in undecided(self.known.values())
            if not one.stands and any(keeper.node == self.world.own for keeper in one.value.keepers)
        ]

    @property
    def services(self) -> Mapping[str, Sequence[object]]:
        part = self.near.sources_part
        return {
            "SourceService": [part.service] if part else [],
            **self.datasets.services,
            "TaskService": [self.tasks],
            "LedgerService": [LedgerService(self.keeping, self.world.own)],
        }

    async def run(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._follow_headers())
            group.create_task(self._look())

    async def close(self) -> None:
        await self.keeping.close()
        if self.near.sources_part is not None:
            await self.near.sources_part.close()

    # --- following what is decided

    async def _follow_headers(self) -> None:
        async for register in self.near.council.watch(JOBS):
            try:
                self.learn(read_header(register))
            except McError as unread:
                _log.error("job_unread", key=register.key, why=unread.message)

    def learn(self, header: Header) -> None:
        """Of the copy, or of whoever has just decided it here."""
        old = self.known.get(header.id)
        if old is None or old.version < header.version:
            self.known[header.id] = header
            self._suit(header)

    def _suit(self, header: Header) -> None:
        """Steward and worker of this node follow what the header says."""
        job, value = header.id, header.value
        run = self.runs.get(job) or self.follows.get(job)
        if run is not None and run.header.epoch == value.epoch and not header.decided:
            run.follow(value)
        elif run is not None and not self._is_ending(run, header):
            self._stewards[job].cancel()
        if header.decided:
            self._end(self._workers, job)
            return
        if value.steward == self.world.own and job not in self._stewards:
            self._start(self._stewards, job, self._steward(job))
        if header.stands:
            return
        if job not in self._workers and self.near.working is not None:
            self._start(self._workers, job, self._work(job, self.near.working))

    def _is_ending(self, run: StewardRun | FollowRun, header: Header) -> bool:
        """It has decided this itself, and is about to stop."""
        return header.decided and run.header.epoch == header.value.epoch and run.is_over

    def _start(
        self, tasks: dict[str, asyncio.Task[None]], job: str, work: Coroutine[Any, Any, None]
    ) -> None:
        if self._group is None:
            work.close()
            return
        task = self._group.create_task(work)
        tasks[job] = task

        def ended(done: asyncio.Task[None]) -> None:
            if tasks.get(job) is done:
                del tasks[job]

        task.add_done_callback(ended)

    def _end(self, tasks: dict[str, asyncio.Task[None]], job: str) -> None:
        task = tasks.pop(job, None)
        if task is not None:
            task.cancel()

    async def _steward(self, job: str) -> None:
        header = self.known[job]
        try:
            if header.stands:
                follows = self.follows[job] = FollowRun(self._follow_means(), header.value)
                await follows.run()
            else:
                run = self.runs[job] = StewardRun(self._means(), header.value)
                await run.run()
        except McError as error:
            level = _log.info if error.reason == "SUPERSEDED" else _log.warning
            level("steward_stopped", job=job, reason=error.reason, why=error.message)
            await asyncio.sleep(AGAIN_S)  # The look below starts it again if it is still ours.
        except Exception:  # noqa: BLE001 - A defect that one job brings up must not end all others.
            _log.exception("steward_broke", job=job)
            await asyncio.sleep(10 * AGAIN_S)
        finally:
            self.runs.pop(job, None)
            self.follows.pop(job, None)

    def _means(self) -> Means:
        near = self.near
        return Means(self.world, self.keeping, near.sources, near.safety, self.ending)

    def _follow_means(self) -> FollowMeans:
        near, part = self.near, self.near.sources_part
        return FollowMeans(
            self.world,
            self.headers,
            near.sources,
            near.make_batch,
            self.known.get,
            part.folder_here if part else lambda uri: None,
        )

    async def _work(self, job: str, working: Working) -> None:
        try:
            await working.run(job, lambda: self.known[job].value, self.pulling.pull)
        except McError as error:
            _log.warning("worker_stopped", job=job, reason=error.reason, why=error.message)
            await asyncio.sleep(AGAIN_S)
        except Exception:  # noqa: BLE001 - A defect that one job brings up must not end all others.
            _log.exception("worker_broke", job=job)
            await asyncio.sleep(10 * AGAIN_S)

    # --- what is looked at now and then

    async def _look(self) -> None:
        while True:
            for header in list(self.known.values()):
                try:
                    if header.decided:
                        await self._after(header)
                    else:
                        self._suit(header)
                        await self._succession.look(header, self.runs.get(header.id))
                except McError as error:
                    _log.info("job_waits", job=header.id, reason=error.reason, why=error.message)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _after(self, header: Header) -> None:
        """What an ended job leaves is let go: its pins once its version stands, its ledger when
        nobody will ask for a receipt. One that has failed may be tried again until then.
        """
        job, outcome = header.id, header.value.outcome
        if job in self._forgotten:
            return
        done = outcome.state == job_pb2.JOB_STATE_DONE
        if done and not self.near.council.list(version_key(header.value)):
            if self.world.own in [keeper.node for keeper in header.value.keepers]:
                await self.ending.tell_version(header.value)
            return
        old = self.world.clock_unix_s() - outcome.ended_unix_ms / 1000 > KEEP_S
        failed = outcome.state == job_pb2.JOB_STATE_FAILED
        if job not in self._unpinned and self.near.store is not None and (old or not failed):
            await self.near.store.unpin(job)
            self._unpinned.add(job)
        if old:
            await self.keeping.forget(job)
            self._forgotten.add(job)
