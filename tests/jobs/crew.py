"""Real nodes with a source in memory and workers that only say what they would have done."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from blake3 import blake3

from coordinator.jobs.facts import Result
from coordinator.jobs.settings import StewardSettings
from multicloud.errors import McError
from multicloud.v1 import common_pb2, job_pb2, records_pb2, task_pb2
from nodeagent.jobs.contract import Pull, Reach, Results, Written
from nodeagent.jobs.facts import result_fact, safe_fact, sealed_chunk
from nodeagent.jobs.header import Header, new_id, request_digest
from nodeagent.jobs.keepers import Keepers
from nodeagent.jobs.keeping import Keeping
from nodeagent.jobs.plane_making import JobParts
from nodeagent.jobs.plane_world import JobWorld
from tests.support.nodes import Place, Running, make_place, running, until
from tests.support.people import People

MIB = 1 << 20
WATCH = {"probe_s": 1.0, "suspect_s": 2.5, "silent_s": 5.0}  # One loop for all: not too keen.


@dataclass
class MemorySource:
    """Files by path; shared by all nodes."""

    files: dict[bytes, int]
    page_objects: int = 10
    away: str = ""
    pages: int = 0

    async def open(
        self, job: str, uri: str, include: Sequence[str] = (), exclude: Sequence[str] = ()
    ) -> "MemorySource":
        return self

    def nearness(self, job: str, uri: str, node: str) -> float:
        return 0.0

    def reach(self, uri: str) -> Reach:
        return Reach()

    async def page(self, cursor: str, objects_max: int) -> task_pb2.ListingPage:
        if self.away:
            raise McError("SOURCE_AWAY", self.away)
        self.pages += 1
        after = cursor.encode()
        names = [name for name in sorted(self.files) if name > after]
        listed = names[: self.page_objects]
        return task_pb2.ListingPage(
            objects=[
                task_pb2.ListedObject(path=name, size_bytes=self.files[name], etag="1")
                for name in listed
            ],
            cursor=listed[-1].decode() if listed else cursor,
            last=len(listed) == len(names),
        )

    async def read(self, asked: task_pb2.TaskInput, offset_bytes: int, size_bytes: int) -> bytes:
        return bytes(size_bytes)

    async def close(self) -> None:
        return


@dataclass
class Hand:
    """A worker that does every task in no time, or as long as it is held."""

    source: MemorySource
    done: list[str] = field(default_factory=list)
    refuse: Callable[[task_pb2.Task], McError | None] = lambda _: None
    only_acked: bool = False
    free: asyncio.Event = field(default_factory=asyncio.Event)
    world: JobWorld | None = None
    keeping: Keeping | None = None
    slots: int = 4

    def __post_init__(self) -> None:
        self.free.set()

    async def run(self, job: str, header: Callable[[], records_pb2.JobHeader], pull: Pull) -> None:
        while True:
            try:
                async with asyncio.TaskGroup() as group:
                    await self._session(job, header().steward, pull, group)
            except* McError:
                pass
            await asyncio.sleep(0.05)

    async def _session(self, job: str, steward: str, pull: Pull, group: asyncio.TaskGroup) -> None:
        said: asyncio.Queue[task_pb2.PullTasksRequest] = asyncio.Queue()
        running: dict[str, asyncio.Task[None]] = {}

        async def requests() -> AsyncIterator[task_pb2.PullTasksRequest]:
            while True:
                credit = task_pb2.WorkerCredit(
                    slots=self.slots - len(running), bytes=1 << 30, running=list(running)
                )
                yield task_pb2.PullTasksRequest(credit=credit)
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        yield await said.get()

        order = task_pb2.WorkOrder()
        async for answer in pull(job, steward, requests()):
            if answer.HasField("order"):
                order = answer.order
            elif answer.HasField("task"):
                name = answer.task.id
                task = group.create_task(self._work(order, answer.task, said))
                running[name] = task
                task.add_done_callback(partial(_forget, running, name))
        for task in running.values():
            task.cancel()

    async def _work(
        self,
        order: task_pb2.WorkOrder,
        task: task_pb2.Task,
        said: asyncio.Queue[task_pb2.PullTasksRequest],
    ) -> None:
        assert self.world is not None
        assert self.keeping is not None
        await self.free.wait()
        error = self.refuse(task)
        if error is not None:
            refused = task_pb2.TaskRefused(task=task.id, reason=error.reason, message=error.message)
            await said.put(task_pb2.PullTasksRequest(refused=refused))
            return
        world = self.world
        nodes = [keeper.node for keeper in order.keepers]
        keepers = Keepers(order.job, nodes, world.own, self.keeping, world.channel)
        size = sum(one.range.size_bytes for one in task.inputs)
        digest = blake3(task.id.encode()).digest()
        chunk = sealed_chunk(digest, size + 100, size, [(world.own, "v")])
        fact = result_fact(
            task_pb2.TaskResult(
                task=task.id,
                worker=world.own,
                attempt=task.attempt,
                chunks=[chunk],
                objects_ingested=sum(one.range.offset_bytes == 0 for one in task.inputs),
                bytes_in=size,
                bytes_out=size,
                edges=[job_pb2.EdgeBytes(from_cloud="aws", to_cloud="gcp", bytes=size, usd=0.01)],
            )
        )
        await keepers.append([fact])
        self.done.append(task.id)
        if not self.only_acked:
            await keepers.append([safe_fact(fact.id, [chunk])])


def _forget(running: dict[str, asyncio.Task[None]], name: str, _: object) -> None:
    running.pop(name, None)


@dataclass
class Shelf:
    """Manifests that are only counted."""

    results: dict[str, list[str]] = field(default_factory=dict)

    async def write(self, header: records_pb2.JobHeader, results: Results) -> Written:
        found = sorted([result.task async for result in results()])
        self.results[header.id] = found
        chunk = common_pb2.ChunkRef(id=bytes(32), size_bytes=1)
        return Written([chunk], len(found), 0)


@dataclass
class Steady:
    """Makes everything safe at once."""

    made: list[str] = field(default_factory=list)

    async def make(self, header: records_pb2.JobHeader, result: Result) -> task_pb2.Fact:
        self.made.append(result.id)
        chunks = [
            sealed_chunk(c.id, c.file_bytes, c.file_bytes, [(k.node, k.volume) for k in c.copies])
            for c in result.chunks
        ]
        return safe_fact(result.id, chunks)


@dataclass
class Crew:
    people: People
    folder: Path
    source: MemorySource
    shelf: Shelf = field(default_factory=Shelf)
    steady: Steady = field(default_factory=Steady)
    nodes: dict[int, Running] = field(default_factory=dict)
    hands: dict[int, Hand] = field(default_factory=dict)
    stacks: dict[int, AsyncExitStack] = field(default_factory=dict)
    settings: StewardSettings = field(default_factory=StewardSettings)

    async def start(self, number: int) -> Running:
        known = [node.address for node in self.nodes.values()]
        join = {"peers": known, "greet_every_s": 0.2, "greet_timeout_s": 1.0}
        place = make_place(self.people, self.folder, number, {"join": join, "watch": WATCH})
        return await self._up(number, place)

    async def restart(self, number: int, place: Place) -> Running:
        return await self._up(number, place)

    async def _up(self, number: int, place: Place) -> Running:
        hand = self.hands.setdefault(number, Hand(self.source))
        parts = JobParts(self.source, hand, self.shelf, self.steady, self.settings)
        stack = self.stacks[number] = AsyncExitStack()
        node = await stack.enter_async_context(running(place, job_parts=parts))
        hand.world, hand.keeping = node.node.jobs.world, node.node.jobs.plane.keeping
        self.nodes[number] = node
        return node

    async def stop(self, number: int) -> Running:
        node = self.nodes.pop(number)
        await self.stacks.pop(number).aclose()
        return node

    def hold(self) -> None:
        for hand in self.hands.values():
            hand.free.clear()

    def let_go(self) -> None:
        for hand in self.hands.values():
            hand.free.set()

    @property
    def done(self) -> list[str]:
        return [task for hand in self.hands.values() for task in hand.done]

    async def submit(self, via: int = 1, **spec: object) -> Header:
        node = self.nodes[via]
        keepers = [running.node.jobs.world.own for running in self.nodes.values()][:3]
        wanted = job_pb2.JobSpec(dataset="corpus", source="memory://", **spec)  # type: ignore[arg-type]
        wanted.chunk_size_bytes = wanted.chunk_size_bytes or MIB
        header = records_pb2.JobHeader(
            id=new_id(),
            spec=wanted,
            request_digest=request_digest(wanted),
            keepers=[records_pb2.Keeper(node=keeper) for keeper in keepers],
            steward=keepers[0],
            epoch=1,
            version="1",
        )
        return await node.node.jobs.plane.headers.create(header)

    def header(self, job: str) -> records_pb2.JobHeader:
        """The newest that a node knows."""
        found = [
            n.node.jobs.plane.known[job]
            for n in self.nodes.values()
            if job in n.node.jobs.plane.known
        ]
        return max(found, key=lambda header: header.version).value

    def _has_ended(self, job: str) -> bool:
        known = [n.node.jobs.plane.known.get(job) for n in self.nodes.values()]
        return all(header is not None and header.decided for header in known)

    async def ended(self, job: str, within_s: float = 20.0) -> records_pb2.JobOutcome:
        await until(lambda: self._has_ended(job), within_s)
        return self.header(job).outcome


@asynccontextmanager
async def crew(people: People, folder: Path, source: MemorySource, count: int = 3, made=Crew):  # type: ignore[no-untyped-def]
    """Nodes that have met and can decide."""
    found = made(people, folder, source)
    try:
        for number in range(1, count + 1):
            await found.start(number)
        await until(lambda: all(_sees(node, count) for node in found.nodes.values()), 30)
        await until(lambda: len(_members(found)) >= min(3, count), 30)
        yield found
    finally:
        found.let_go()
        for number in list(found.stacks):
            await found.stop(number)


def _sees(running: Running, count: int) -> bool:
    world = running.node.jobs.world
    members = world.view().members
    return (
        sum(world.is_there(node) and members[node].facts is not None for node in members) == count
    )


def _members(found: Crew) -> Sequence[object]:
    return min((n.node.council.part.copy.epoch.members for n in found.nodes.values()), key=len)
