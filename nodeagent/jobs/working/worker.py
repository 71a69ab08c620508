"""The worker of a node: works for every job that runs, within one room for all of them.

A node without the cluster key can seal nothing: it works on nothing, and says so once.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol, TypeVar

import structlog

from multicloud.errors import McError, Retry
from multicloud.v1 import job_pb2, records_pb2, task_pb2
from nodeagent.core.backoff import delay_s
from nodeagent.core.breaker import State
from nodeagent.core.chunk.keys import DatasetKey
from nodeagent.core.delivery_words import ACK_COPIES_DEFAULT
from nodeagent.core.pipeline.model import Pipeline
from nodeagent.jobs.contract import Found, ReadsSeveral, Source, Sources
from nodeagent.jobs.working.ahead import Reading
from nodeagent.jobs.working.earlier import Earlier
from nodeagent.jobs.working.pull import Pull, PullLoop
from nodeagent.jobs.working.records import Pipelines
from nodeagent.jobs.working.room import Room
from nodeagent.jobs.working.sending import CarefulBrain, Deliverer, Sender
from nodeagent.jobs.working.task import JobMeans
from nodeagent.jobs.working.tracing import Traces, Watcher
from nodeagent.rpc.policies import policy_of
from nodeagent.upkeep.rate import Rate
from nodeagent.wire.usage import Use

_log = structlog.stdlib.get_logger(__name__)
APPEND_WITHIN_S = 10.0
BACKOFF_S, BACKOFF_S_MAX = 0.2, 5.0
Header = Callable[[], records_pb2.JobHeader]
EarlierOf = Callable[[str, Header, DatasetKey], Earlier | None]
KeyOf = Callable[[bytes], Awaitable[DatasetKey]]
T = TypeVar("T")


class Keepers(Protocol):
    async def append(
        self, facts: Sequence[task_pb2.Fact], *, epoch: int = 0, within_s: float = 60.0
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """What a worker stands on."""

    own: str
    sources: Sources
    deliverer: Deliverer  # Over `brain`.
    brain: CarefulBrain
    key_of: KeyOf | None  # None: this node has no cluster key.
    keepers: Callable[[str, Sequence[str]], Keepers]  # Of a job, on these nodes.
    pipelines: Pipelines
    pipeline_of: Callable[[job_pb2.JobSpec], Pipeline]  # It was checked at submit.
    python_path: Callable[[], Sequence[str]]
    room: Room
    watcher: Watcher
    traces: Traces
    links: Callable[[], Mapping[str, Use]]
    rng: Random = field(default_factory=Random)
    earlier: EarlierOf = lambda _job, _header, _key: None


@dataclass(slots=True)
class Worker:
    parts: WorkerParts
    readings: dict[str, Reading] = field(default_factory=dict)  # Of jobs that run here.
    _told: bool = False

    async def run(self, job: str, header: Header, pull: Pull) -> None:
        """Works for a job until it is cancelled, whoever its steward is."""
        parts = self.parts
        if parts.key_of is None:
            self._tell_storage_only()
            await asyncio.Event().wait()
            return
        key = await self._patiently(lambda: self._key(header()))
        source = _Source(parts.sources, job, header().spec.source)
        try:
            async with asyncio.TaskGroup() as group:
                means = self._means(job, header, key, source, group)
                await PullLoop(means, header, pull, parts.rng).run()
        finally:
            parts.room.forget(job)
            self.readings.pop(job, None)
            await source.close()

    def breakers(self) -> Mapping[str, State]:
        """Of peers that failed lately."""
        brain = self.parts.brain
        return brain.breakers.states(brain.clock_s())

    def _tell_storage_only(self) -> None:
        if not self._told:
            self._told = True
            _log.info("works_on_nothing", why="this node has no cluster key: it stores only")

    async def _key(self, header: records_pb2.JobHeader) -> DatasetKey:
        assert self.parts.key_of is not None
        return await self.parts.key_of(header.key_id)

    async def _patiently(self, ask: Callable[[], Awaitable[DatasetKey]]) -> DatasetKey:
        """Its record may not have come here yet."""
        tries = 0
        while True:
            try:
                return await ask()
            except McError as error:
                tries += 1
                if tries == 1:
                    _log.info("worker_waits", reason=error.reason, why=error.message)
            pause_s = delay_s(tries, self.parts.rng, base_s=BACKOFF_S, delay_s_max=BACKOFF_S_MAX)
            await asyncio.sleep(pause_s)

    def _means(
        self,
        job: str,
        header: Header,
        key: DatasetKey,
        source: "_Source",
        group: asyncio.TaskGroup,
    ) -> JobMeans:
        parts, spec, value = self.parts, header().spec, header()
        policy = policy_of(spec.policy)
        ack_copies = spec.policy.ack_copies or min(ACK_COPIES_DEFAULT, policy.replicas)
        means = JobMeans(
            order=task_pb2.WorkOrder(
                job=job, traceparent=value.traceparent, trace_one_in=value.trace_one_in
            ),
            pipeline=parts.pipeline_of(spec),
            target_bytes=spec.chunk_size_bytes,
            key=key,
            reading=Reading(source, rng=parts.rng),
            sender=Sender(
                parts.deliverer,
                parts.brain,
                parts.own,
                job,
                policy,
                ack_copies,
                parts.watcher,
                parts.rng,
            ),
            ledger=_Ledger(parts.keepers, job, header, parts.rng),
            room=parts.room,
            pipelines=parts.pipelines,
            python_path=parts.python_path(),
            watcher=parts.watcher,
            tails=group,
            traces=parts.traces,
            links=parts.links,
            earlier=parts.earlier(job, header, key),
        )
        rate = Rate(lambda: means.order.bytes_per_s_max or math.inf)
        means.reading.take = rate.take
        self.readings[job] = means.reading
        return means


@dataclass(slots=True)
class _Ledger:
    """The keepers that the newest header names, asked until a majority has it."""

    keepers: Callable[[str, Sequence[str]], Keepers]
    job: str
    header: Header
    rng: Random
    waits: str = ""

    async def append(self, facts: Sequence[task_pb2.Fact]) -> None:
        tries = 0
        while True:
            nodes = [keeper.node for keeper in self.header().keepers]
            try:
                await self.keepers(self.job, nodes).append(facts, within_s=APPEND_WITHIN_S)
            except McError as error:
                if error.row.retry is Retry.NEVER and error.reason != "NODE_UNKNOWN":
                    raise
                self.waits = error.message
                tries += 1
                base_s, most_s = BACKOFF_S, BACKOFF_S_MAX
                await asyncio.sleep(delay_s(tries, self.rng, base_s=base_s, delay_s_max=most_s))
                continue
            self.waits = ""
            return


@dataclass(slots=True)
class _Source:
    """The job's source, opened when it is first read, and anew after it was away."""

    sources: Sources
    job: str
    uri: str
    _open: Source | None = None
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def page(self, cursor: str, objects_max: int) -> task_pb2.ListingPage:
        return await (await self._opened()).page(cursor, objects_max)

    async def read(self, asked: task_pb2.TaskInput, offset_bytes: int, size_bytes: int) -> bytes:
        return await self._by(lambda source: source.read(asked, offset_bytes, size_bytes))

    async def read_several(self, wanted: Sequence[task_pb2.TaskInput]) -> Sequence[Found] | None:
        async def several(source: Source) -> Sequence[Found] | None:
            return await source.read_several(wanted) if isinstance(source, ReadsSeveral) else None

        return await self._by(several)

    async def _by(self, work: Callable[[Source], Awaitable[T]]) -> T:
        source = await self._opened()
        try:
            return await work(source)
        except McError as error:
            if error.reason == "SOURCE_AWAY" and self._open is source:
                self._open = None
                await source.close()
            raise

    async def close(self) -> None:
        if self._open is not None:
            await self._open.close()

    async def _opened(self) -> Source:
        async with self._opening:
            if self._open is None:
                self._open = await self.sources.open(self.job, self.uri)
            return self._open
