"""The steward of one job on this node, alive: it lists, hands tasks to workers, learns what became
of them, and ends the job. One run is one epoch; whoever is superseded stops at once.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog

from coordinator.jobs.facts import Poisoned, Result
from coordinator.jobs.ledger import Ledger
from coordinator.jobs.steward import (
    Action,
    GiveUp,
    ListNext,
    MakeSafe,
    Offer,
    Over,
    Steward,
    Withdraw,
)
from coordinator.types import NodeId
from multicloud.errors import McError, Retry
from multicloud.v1 import records_pb2, task_pb2
from nodeagent.core.pipeline.model import Pipeline
from nodeagent.jobs.contract import Sources
from nodeagent.jobs.facts import Cut, folded, page_fact, page_of, poisoned_fact, tasks_of
from nodeagent.jobs.keepers import Keepers
from nodeagent.jobs.keeping import Keeping
from nodeagent.jobs.plane_world import JobWorld
from nodeagent.jobs.planning import cut_of, pipeline_of
from nodeagent.jobs.steward_chosen import chosen
from nodeagent.jobs.steward_ending import Ending, Verdict
from nodeagent.jobs.steward_figures import Figures, task_of
from nodeagent.jobs.steward_learning import Learning
from nodeagent.jobs.steward_listing import Listing
from nodeagent.jobs.steward_safety import Safety, settle
from nodeagent.jobs.steward_seen import Seen
from nodeagent.jobs.steward_streams import WorkerStreams
from nodeagent.jobs.steward_writing import Writing
from nodeagent.wire.flow import first_of

_log = structlog.stdlib.get_logger(__name__)
TICK_S = 0.25
REST = 2.0  # Times as long as a look took, nothing is looked at.
AGAIN_S = 1.0  # Between two looks at a source that is away.
MAKING_SAFE_MAX = 4


@dataclass(frozen=True, slots=True)
class Means:
    """What every steward of this node works with."""

    world: JobWorld
    keeping: Keeping
    sources: Sources
    safety: Safety
    ending: Ending


@dataclass(slots=True)
class StewardRun:
    means: Means
    header: records_pb2.JobHeader
    steward: Steward = field(init=False)
    figures: Figures = field(default_factory=Figures)
    seen: Seen = field(init=False)
    ready: bool = False  # It has read what a majority of the keepers has.
    keepers: Keepers = field(init=False)
    learning: Learning = field(init=False)
    writing: Writing = field(init=False)
    source: Listing = field(init=False)
    streams: WorkerStreams = field(init=False)
    _tasks: dict[str, task_pb2.Task] = field(default_factory=dict)
    _cut: Cut = field(init=False)
    _pipeline: Pipeline = field(init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _verdict: Verdict | None = None
    _settled: set[str] = field(default_factory=set)
    _busy: set[str] = field(default_factory=set)  # Facts and results that are being worked on.
    _look_again_s: float = 0.0
    _making_safe: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(MAKING_SAFE_MAX)
    )
    _group: asyncio.TaskGroup | None = None

    def __post_init__(self) -> None:
        world, header = self.means.world, self.header
        self._cut, self._pipeline = cut_of(header.spec), pipeline_of(header.spec)
        self.steward = Steward(
            Ledger(), header.epoch, world.settings, world.rng, cost=self._cost_of_reading
        )
        nodes = [keeper.node for keeper in header.keepers]
        self.keepers = Keepers(
            header.id, nodes, world.own, self.means.keeping, world.channel, world.rng
        )
        self.learning = Learning(self.keepers, header.epoch, self._learn, self.has_lost_disk)
        self.writing = Writing(self.keepers, self.learning, header.epoch, self._learn)
        self.source = Listing(self.means.sources, header.id, header.spec)
        self.streams, self.seen = WorkerStreams(self._heard), Seen(world.name_of)
        self.follow(header)

    # --- its life

    async def run(self) -> None:
        """Until the job is decided here; SUPERSEDED when another steward has it."""
        world = self.means.world
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                lasting = [group.create_task(self.learning.run())]
                await self.learning.majority()
                await self.writing.adopt()
                self.ready = True
                _log.info("steward_began", job=self.header.id, epoch=self.header.epoch)
                lasting.append(group.create_task(self.writing.bring_to_majority()))
                verdict = await self._dispatch()
                self.figures.sample(self.steward.ledger, world.clock_s(), at_once=True)
                error = await self.means.ending.end(self.header, self, verdict, self._given_up())
                _log.info("steward_ended", job=self.header.id, failed=error)
                self.streams.close()
                for task in lasting:
                    task.cancel()
        except BaseExceptionGroup as failed:
            raise first_of(failed) from failed
        finally:
            self._group = None
            self.streams.close()
            await self.source.close()

    def follow(self, header: records_pb2.JobHeader) -> None:
        """The header changed, and this node is the steward still, in the same epoch."""
        self.header = header
        self.steward.paused = header.paused
        self._wake.set()

    async def _dispatch(self) -> Verdict:
        world = self.means.world
        while self._verdict is None:
            self._wake.clear()
            now_s = world.clock_s()
            if self.steward.source_away and now_s >= self._look_again_s:
                self._look_again_s = now_s + AGAIN_S
                self.steward.source_away = ""
                self.steward.relist()
            for node in [n for n in self.steward.workers if world.is_away(n)]:
                self.steward.gone(node)
                self.seen.gone(node)
            self.streams.share(self._order)
            for action in self.steward.tick(now_s):
                self._obey(action)
            if self.figures.sample(self.steward.ledger, now_s, self.seen):
                self._judge()
            took_s = world.clock_s() - now_s
            await asyncio.sleep(took_s * REST)  # Many open tasks: each look takes a while.
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._wake.wait()
        return self._verdict

    def _judge(self) -> None:
        """What ends a job before everything is decided."""
        limit = self.header.spec.usd_max
        spent = self.figures.spent_usd
        if limit and spent > limit:
            self._fail(f"{spent:.2f} dollars are spent, {limit:.2f} were allowed (--max-usd)")
        why = self.figures.hopeless(self._pipeline, finished=self.steward.ledger.complete)
        if why:
            self._fail(why)

    def _fail(self, why: str) -> None:
        self._verdict = self._verdict or Verdict(why)
        self._wake.set()

    def _given_up(self) -> list[str]:
        tasks = self.steward.ledger.tasks.values()
        return [task.poisoned.reason for task in tasks if task.poisoned and not task.results]

    # --- what it does

    def _obey(self, action: Action) -> None:
        match action:
            case ListNext():
                self.spawn(f"page/{action.page}", self._list(action))
            case Offer():
                self._offer(action)
            case Withdraw():
                gone = task_pb2.TaskWithdrawn(task=action.task)
                self.streams.say(action.worker, task_pb2.PullTasksResponse(withdrawn=gone))
            case MakeSafe():
                self.spawn(f"safe/{action.result.id}", self._make_safe(action.result))
            case GiveUp():
                self.spawn(action.poisoned.id, self._give_up(action.poisoned))
            case Over():
                self.figures.sample(self.steward.ledger, self.means.world.clock_s(), at_once=True)
                self._judge()
                self._verdict = self._verdict or Verdict("; ".join(action.wrong))

    def spawn(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        """In the run's group; one of a name at a time."""
        if what in self._busy or self._group is None:
            work.close()
            return
        self._busy.add(what)
        task = self._group.create_task(work)
        task.add_done_callback(lambda _: self._busy.discard(what))

    async def _list(self, wanted: ListNext) -> None:
        try:
            page = await self.source.page(wanted.page, wanted.cursor)
        except McError as error:
            if error.row.retry is Retry.NEVER:
                self._fail(f"the source cannot be listed: {error.message}")
            else:
                self._source_is_away(error.message)
            return
        fact = page_fact(page, self.header.epoch)
        await self.writing.persist([fact])
        self._learn(fact)

    def _source_is_away(self, why: str) -> None:
        self.source.away = why
        self._look_again_s = self.means.world.clock_s() + AGAIN_S
        self.steward.source_away = why
        self.steward.relist()

    async def _give_up(self, poisoned: Poisoned) -> None:
        fact = poisoned_fact(poisoned)
        await self.writing.persist([fact])
        self._learn(fact)

    async def _make_safe(self, result: Result) -> None:
        try:
            async with self._making_safe:
                fact = await self.means.safety.make(self.header, result)
            await self.writing.persist([fact])
            self._learn(fact)
            self.figures.unsafe.pop(result.task, None)
        except McError as error:
            if error.reason == "SUPERSEDED":
                raise
            self.figures.unsafe[result.task] = error.message

    # --- what it learns

    def _learn(self, fact: task_pb2.Fact) -> bool:
        """False: it was known."""
        if self._is_known(fact) or self._is_retried(fact):
            return False
        is_page = fact.WhichOneof("kind") == "page"
        tasks = tasks_of(fact.page, self._cut) if is_page else ()
        found = page_of(fact, tasks) if is_page else folded(fact, self._cut)
        before = self.steward.ledger
        actions = self.steward.learned(found, self.means.world.clock_s())
        self.figures.count(fact)
        if fact.HasField("result"):
            self.seen.result(fact.result)
        if fact.HasField("result"):
            self.source.away = ""
        if is_page:
            self._tasks |= {task.id: task for task in tasks}
        else:
            task = before.tasks.get(task_of(fact))
            if task is not None and task.over:
                self._tasks.pop(task.shape.id, None)
        for action in actions:
            self._obey(action)
        self._wake.set()
        return True

    def _is_known(self, fact: task_pb2.Fact) -> bool:
        ledger = self.steward.ledger
        if fact.WhichOneof("kind") == "page":
            page = ledger.pages.get(fact.page.page)
            return page is not None and page.epoch >= fact.epoch
        return fact.id in self.figures.counted

    def _is_retried(self, fact: task_pb2.Fact) -> bool:
        """Given up before somebody asked to try again."""
        return fact.HasField("poisoned") and fact.epoch < self.header.retried_epoch

    def has_lost_disk(self, node: NodeId) -> bool:
        volume = self.means.world.volume_of(node)
        kept = next((k.volume for k in self.header.keepers if k.node == node), "")
        return bool(volume and kept and volume != kept)

    @property
    def is_over(self) -> bool:
        return self._verdict is not None

    @property
    def source_is_done(self) -> bool:
        """Everything was read and is acked: the source is needed no more."""
        ledger = self.steward.ledger
        return self.ready and ledger.listed and all(task.acked for task in ledger.open_tasks())

    def _cost_of_reading(self, worker: NodeId, _task: str) -> float:
        return self.means.sources.nearness(self.header.id, self.header.spec.source, worker)

    # --- workers

    def serve(
        self, worker: NodeId, requests: AsyncIterator[task_pb2.PullTasksRequest]
    ) -> AsyncGenerator[task_pb2.PullTasksResponse, None]:
        """The stream of one worker."""
        if self._group is None or self._verdict is not None:
            said = f"this node dispatches job {self.header.id} no more"
            raise McError("SUPERSEDED", said, facts={"job": self.header.id})
        return self.streams.serve(self._group, worker, self._order(), requests)

    def _heard(self, worker: NodeId, request: task_pb2.PullTasksRequest) -> None:
        now_s = self.means.world.clock_s()
        match request.WhichOneof("part"):
            case "credit":
                running = set(request.credit.running)
                coming = self.steward.on_the_way(worker, running)
                slots = max(0, request.credit.slots - coming)
                self.steward.pulls(worker, slots, running, now_s)
                self.seen.credit(worker, request.credit)
            case "refused":
                self.seen.refused(request.refused)
                self._refused(worker, request.refused, now_s)
            case _:
                return
        self._wake.set()

    def _refused(self, worker: NodeId, refused: task_pb2.TaskRefused, now_s: float) -> None:
        if refused.reason == "SOURCE_AWAY":
            self.steward.postponed(worker, refused.task)
            self._source_is_away(refused.message)
        elif refused.reason == "RECORDS_BAD":
            self._fail(refused.message)
        else:
            why = f"{refused.reason}: {refused.message}" if refused.reason else refused.message
            self.steward.failed(worker, refused.task, why, now_s)

    def _offer(self, offer: Offer) -> None:
        known = self._tasks.get(offer.task)
        if known is None:
            return
        task = task_pb2.Task()
        task.CopyFrom(known)
        task.attempt = offer.attempt
        if not self.streams.say(offer.worker, task_pb2.PullTasksResponse(task=task)):
            self.steward.postponed(offer.worker, offer.task)

    def _order(self) -> task_pb2.WorkOrder:
        header = self.header
        return task_pb2.WorkOrder(
            job=header.id,
            spec=header.spec,
            key_id=header.key_id,
            keepers=header.keepers,
            epoch=header.epoch,
            traceparent=header.traceparent,
            trace_one_in=header.trace_one_in,
            bytes_per_s_max=-(-header.spec.bandwidth_bytes_per_s_max // max(1, self.streams.count)),
        )

    # --- what is asked

    def waits(self) -> list[str]:
        """Every reason for which the job stands still."""
        found = [f"its ledger cannot be written: {why}" for why in self._ledger_troubles()]
        if self.ready:
            now_s = self.means.world.clock_s()
            found += [*self.steward.waits(now_s), *self.seen.waits(now_s)]
            if not self.source_is_done:
                found += self.source.unable(self.steward.workers, self.means.world.name_of)
            unsafe = list(self.figures.unsafe.values())
            if unsafe:
                found.append(f"{len(unsafe)} tasks cannot be made safe yet: {unsafe[-1]}")
        else:
            found.append("its steward reads the ledger")
        if self.means.ending.trouble.get(self.header.id):
            found.append(self.means.ending.trouble[self.header.id])
        return found

    def _ledger_troubles(self) -> list[str]:
        return [why for why in (self.writing.trouble or self.learning.trouble,) if why]

    async def settle(self) -> None:
        world, ledger = self.means.world, self.steward.ledger
        await settle(self.header, ledger, world, self.means.safety, self._settled)

    def chosen(self) -> AsyncIterator[task_pb2.TaskResult]:
        """The results that count."""
        return chosen(self.keepers, self.steward.ledger.tasks, self._cut)


Runs = Callable[[str], StewardRun | None]
