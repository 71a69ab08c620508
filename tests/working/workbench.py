"""A worker on a real node; its source, its steward and its keepers are the test's."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from coordinator.types import Domain
from multicloud.errors import McError
from multicloud.v1 import common_pb2, job_pb2, records_pb2, task_pb2
from nodeagent.config.model import Work
from nodeagent.core.chunk.keys import DatasetKey
from nodeagent.core.delivery_words import Patience
from nodeagent.core.pipeline.cut import cut, rule_for
from nodeagent.core.pipeline.model import Pipeline
from nodeagent.jobs.contract import CHANGED, Found, Reach, SkippedObject
from nodeagent.jobs.facts import path_bytes
from nodeagent.jobs.working.pull import Requests
from nodeagent.jobs.working.room import Room
from nodeagent.jobs.working.sending import CarefulBrain
from nodeagent.jobs.working.worker import Worker, WorkerParts
from nodeagent.process.pool import Limits, Pool
from nodeagent.store.memory import MemoryStore
from nodeagent.store.volumes import Volumes
from tests.process.tasks import pipeline
from tests.support.chunks import open_file
from tests.support.nodes import Place, Running, until
from tests.support.sender import Silent

JOB = "jobjobjobjobjobjobjo"
HERE = Domain("aws", "us-east-1", "a")
KEY = DatasetKey(secrets.token_bytes(16), secrets.token_bytes(32))
QUICK = Patience(tries_max=1, pause_base_s=0.01, pause_s_max=0.05, elsewhere_s=30.0)


class Moody(MemoryStore):
    full = False
    refusals = 0  # So many more puts are refused.

    async def put(self, file_bytes_max: int, chunk_id: bytes = b""):  # type: ignore[no-untyped-def]
        self.refusals -= 1
        if self.full or self.refusals >= 0:
            raise McError("NO_ROOM", "this disk is full")
        return await super().put(file_bytes_max, chunk_id)


def moody(place: Place) -> Volumes:
    return Volumes([Moody(f"volume-{place.id}", clock=time.time)])


def disk(node: Running) -> Moody:
    (store,) = node.node.data.store.stores
    assert isinstance(store, Moody)
    return store


def fill(node: Running, full: bool) -> None:
    disk(node).full = full


@dataclass
class Memory:
    """A source whose objects the test changes, takes away, and slows down."""

    objects: dict[str, bytes]
    changed: dict[str, int] = field(default_factory=dict)  # From which byte on.
    away: bool = False
    open_gate: asyncio.Event = field(default_factory=asyncio.Event)
    reads: int = 0
    faults: int = 0  # So many reads fail for a moment.

    def __post_init__(self) -> None:
        self.open_gate.set()

    async def open(
        self, job: str, uri: str, include: object = (), exclude: object = ()
    ) -> "Memory":
        return self

    def nearness(self, job: str, uri: str, node: str) -> float:
        return 0.0

    def reach(self, uri: str) -> Reach:
        return Reach()

    async def page(self, cursor: str, objects_max: int) -> task_pb2.ListingPage:
        raise AssertionError("a worker lists nothing")

    async def read(self, asked: task_pb2.TaskInput, offset_bytes: int, size_bytes: int) -> bytes:
        self.reads += 1
        await self.open_gate.wait()
        if self.away:
            raise McError("SOURCE_AWAY", "the laptop is gone")
        if self.faults:
            self.faults -= 1
            raise McError("STALLED", "for a moment")
        path = asked.path.decode("utf-8", "surrogateescape")
        if path in self.changed and offset_bytes + size_bytes > self.changed[path]:
            raise SkippedObject(asked.path, CHANGED)
        return self.objects[path][offset_bytes : offset_bytes + size_bytes]

    async def close(self) -> None: ...


@dataclass
class Batching(Memory):
    """It gives many small objects in one go."""

    goes: int = 0

    async def read_several(self, wanted: Sequence[task_pb2.TaskInput]) -> list[Found]:
        self.goes += 1
        return [await self._found(one) for one in wanted]

    async def _found(self, one: task_pb2.TaskInput) -> Found:
        try:
            return await self.read(one, one.range.offset_bytes, one.range.size_bytes)
        except SkippedObject as skipped:
            return skipped


@dataclass
class Ledger:
    facts: dict[str, task_pb2.Fact] = field(default_factory=dict)
    away: bool = False

    async def append(
        self, facts: Sequence[task_pb2.Fact], *, epoch: int = 0, within_s: float = 60.0
    ) -> None:
        if self.away:
            raise McError("UNREACHABLE", "two of three keepers are away")
        self.facts |= {fact.id: fact for fact in facts}

    def results(self) -> list[task_pb2.TaskResult]:
        found = [f.result for f in self.facts.values() if f.HasField("result")]
        return sorted(found, key=lambda result: result.task)

    def safe(self) -> list[str]:
        return [f.safe.result for f in self.facts.values() if f.HasField("safe")]


@dataclass
class Steward:
    """Gives tasks as there is room, and remembers what it was told."""

    group: asyncio.TaskGroup
    traceparent: str = ""
    tasks: asyncio.Queue[task_pb2.PullTasksResponse] = field(default_factory=asyncio.Queue)
    credits: list[task_pb2.WorkerCredit] = field(default_factory=list)
    refused: list[task_pb2.TaskRefused] = field(default_factory=list)
    pulled: list[str] = field(default_factory=list)  # Of which steward.
    dead: asyncio.Event = field(default_factory=asyncio.Event)

    async def pull(
        self, job: str, steward: str, requests: Requests
    ) -> AsyncIterator[task_pb2.PullTasksResponse]:
        self.pulled.append(steward)
        hearing = self.group.create_task(self._hear(requests))
        try:
            order = task_pb2.WorkOrder(job=job, traceparent=self.traceparent)
            yield task_pb2.PullTasksResponse(order=order)
            while True:
                yield await self.tasks.get()
        finally:
            hearing.cancel()

    async def _hear(self, requests: Requests) -> None:
        async for request in requests:
            if request.HasField("credit"):
                self.credits.append(request.credit)
            else:
                self.refused.append(request.refused)

    def give(self, *tasks: task_pb2.Task) -> None:
        for task in tasks:
            self.tasks.put_nowait(task_pb2.PullTasksResponse(task=task))

    def withdraw(self, task: str) -> None:
        withdrawn = task_pb2.TaskWithdrawn(task=task)
        self.tasks.put_nowait(task_pb2.PullTasksResponse(withdrawn=withdrawn))


@dataclass
class Bench:
    """A worker at work."""

    nodes: list[Running]
    source: Memory
    ledger: Ledger
    steward: Steward
    header: records_pb2.JobHeader
    worker: Worker
    room: Room
    pipeline: Pipeline
    target_bytes: int

    def tasks(self) -> list[task_pb2.Task]:
        """As the steward cuts them."""
        rule = rule_for(self.pipeline, self.target_bytes)
        listing = [(path, len(data)) for path, data in self.source.objects.items()]
        made = []
        for place, parts in enumerate(cut(listing, rule)):
            task = task_pb2.Task(id=f"0.{place}.aa", attempt=1)
            for part in parts:
                where = common_pb2.ByteRange(
                    offset_bytes=part.offset_bytes, size_bytes=part.size_bytes
                )
                task.inputs.add(
                    path=path_bytes(part.path), etag="1", range=where, size_bytes=part.object_bytes
                )
            made.append(task)
        return made

    async def done(self, count: int) -> list[task_pb2.TaskResult]:
        await until(lambda: len(self.ledger.results()) >= count, 20)
        return self.ledger.results()

    async def plain_of(self, chunk: task_pb2.SealedChunk) -> bytes:
        return await plain_of(self.nodes, chunk)

    async def files(self) -> dict[str, bytes]:
        found = await joined_files(self.nodes, self.ledger.results())
        return {path.decode(): data for path, data in found.items()}


async def plain_of(nodes: Sequence[Running], chunk: task_pb2.SealedChunk) -> bytes:
    """Opened with the key, of each holder, all the same."""
    found = set()
    for copy in chunk.copies:
        (node,) = [n for n in nodes if n.place.id == copy.node]
        reading = await node.node.data.store.read(chunk.id)
        frames = [frame async for frame in reading.frames()]
        await reading.close()
        envelope = reading.envelope
        found.add(open_file(envelope.header + b"".join(frames) + envelope.trailer, KEY))
    (plain,) = found
    assert len(plain) == chunk.plain_bytes
    return plain


async def joined_files(
    nodes: Sequence[Running], results: Sequence[task_pb2.TaskResult]
) -> dict[bytes, bytes]:
    """As a manifest joins them."""
    parts = []
    for result in results:
        plains = [await plain_of(nodes, chunk) for chunk in result.chunks]
        for file in result.files:
            end = file.offset_bytes + file.size_bytes
            data = plains[file.chunk][file.offset_bytes : end] if file.size_bytes else b""
            assert len(data) == file.size_bytes
            parts.append((file.path, file.at_bytes, data))
    joined: dict[bytes, bytes] = {}
    for path, _, data in sorted(parts):
        joined[path] = joined.get(path, b"") + data
    return joined


@asynccontextmanager
async def bench(
    nodes: list[Running],
    objects: dict[str, bytes],
    *,
    text: str = 'input = "raw"',
    target_bytes: int = 1 << 20,
    replicas: int = 2,
    has_key: bool = True,
    work: Work | None = None,
    watcher: Any = None,
    traces: Any = None,
    traceparent: str = "",
    source_of: type[Memory] = Memory,
) -> AsyncIterator[Bench]:
    found = pipeline(text)
    spread = [job_pb2.SpreadRule(level=job_pb2.SPREAD_LEVEL_NODE, count=2)]
    spread += [
        job_pb2.SpreadRule(level=level, count=1)
        for level in (job_pb2.SPREAD_LEVEL_ZONE, job_pb2.SPREAD_LEVEL_REGION, 4)
    ]
    spec = job_pb2.JobSpec(
        policy=job_pb2.Policy(replicas=replicas, ack_copies=2, spread=spread),
        chunk_size_bytes=target_bytes,
    )
    first = nodes[0].node
    header = records_pb2.JobHeader(id=JOB, spec=spec, steward="s1", key_id=KEY.id)
    source, ledger = source_of(objects), Ledger()
    brain = CarefulBrain(first.deliverer.brain, time.monotonic)
    room = Room(lambda: work or Work())

    async def key_of(key_id: bytes) -> DatasetKey:
        assert key_id == KEY.id
        return KEY

    async with Pool(Limits(workers=1)) as pool, asyncio.TaskGroup() as group:
        parts = WorkerParts(
            own=nodes[0].place.id,
            sources=source,
            deliverer=replace(first.deliverer, brain=brain, patience=QUICK),
            brain=brain,
            key_of=key_of if has_key else None,
            keepers=lambda job, where: ledger,
            pipelines=pool,
            pipeline_of=lambda _: found,
            python_path=lambda: (),
            room=room,
            watcher=watcher or Telling(),
            traces=traces or Unkept(),
            links=first.deliverer.ground.usage.now,
            rng=Random(3),
        )
        worker, steward = Worker(parts), Steward(group, traceparent)
        running = group.create_task(worker.run(JOB, lambda: header, steward.pull))
        try:
            yield Bench(nodes, source, ledger, steward, header, worker, room, found, target_bytes)
        finally:
            running.cancel()
            await asyncio.wait({running})


class Telling(Silent):
    trace_id = ""


class Unkept:
    def ended(self, trace_id: str, seconds: float, nodes: object) -> None: ...
    def failed(self, trace_id: str, nodes: object) -> None: ...
