"""Workers, manifests and safety over the simulated wire: what is modelled, because production's own
moves real bytes; what they promise to ledger and council is production's.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from coordinator.jobs.facts import Result
from coordinator.policy import Policy, Site, shortfall
from coordinator.types import NodeId
from multicloud.errors import McError
from multicloud.v1 import common_pb2, records_pb2, task_pb2
from nodeagent.jobs.contract import Pull, Results, Written
from nodeagent.jobs.facts import result_fact, safe_fact, sealed_chunk
from nodeagent.jobs.keepers import Keepers
from nodeagent.rpc.policies import policy_of
from nodeagent.store.contract import Held, Pin
from tests.sim.whole.sealed import sealed

CREDIT_S, AGAIN_S = 0.5, 0.3
SLOTS = 2
REFUSED = 0.03
GIVE_S = 30.0


@dataclass
class Manifest:
    """What a version holds, as its manifest's chunk says."""

    results: dict[str, tuple[bytes, ...]]
    cut_short: frozenset[str]
    sizes: dict[bytes, int]

    async def chunks(self) -> AsyncIterator[Any]:
        for chunk_id, size in self.sizes.items():
            yield records_pb2.ManifestChunk(id=chunk_id, sealed_bytes=size)


@dataclass(slots=True)
class Delivering:
    """Brings chunks to copies on disks, as the wire would; writes manifests; gives repairs."""

    process: Any

    async def copies(
        self, chunk_id: bytes, policy: Policy, job: str, holders: Sequence[Site] = ()
    ) -> AsyncIterator[list[tuple[Site, str]]]:
        """All that are durable so far, after each new one, until the policy is met."""
        process = self.process
        pin = Pin(job) if job else None
        durable: list[tuple[Site, str]] = []
        held = list(holders)

        async def taken(other: Any) -> str:
            found = await other.store.have([chunk_id], pin) if pin else []
            if found:
                return str(found[0].volume)
            return str(await other.put(chunk_id, pin))

        for site in process.takers(policy, chunk_id, holders):
            if not any(shortfall(policy, held)) and len(held) >= policy.replicas:
                return
            with suppress(McError):
                durable.append((site, await process.ask(site.node, taken)))
                held.append(site)
                yield list(durable)

    async def all_copies(
        self, chunk_id: bytes, policy: Policy, job: str, holders: Sequence[Site] = ()
    ) -> list[tuple[Site, str]]:
        steps = [durable async for durable in self.copies(chunk_id, policy, job, holders)]
        return steps[-1] if steps else []

    async def give(self, held: Held, policy: Policy, holders: Sequence[NodeId]) -> Sequence[NodeId]:
        """For the repair: to as many as are missing."""
        domains = {h.id: h.domain for h in self.process.world.hosts}
        sites = [Site(domains[node], node) for node in holders]
        got = await self.all_copies(held.chunk_id, policy, "", sites)
        _demand(held.chunk_id, policy, [*sites, *(site for site, _ in got)])
        return [site.node for site, _ in got]

    async def write(self, header: records_pb2.JobHeader, results: Results) -> Written:
        """The manifest, safe when it returns."""
        found: dict[str, tuple[bytes, ...]] = {}
        sizes: dict[bytes, int] = {}
        short: set[str] = set()
        async for result in results():
            if result.chunks:
                found[result.task] = tuple(chunk.id for chunk in result.chunks)
                sizes |= {chunk.id: chunk.sealed_bytes for chunk in result.chunks}
            short |= {path.path.decode() for path in result.cut_short}
        said = (
            header.id,
            *sorted(f"{task} {ids!r}" for task, ids in found.items()),
            *sorted(short),
        )
        chunk = sealed(said)
        self.process.world.manifests[chunk.id] = Manifest(found, frozenset(short), sizes)
        policy = policy_of(header.spec.policy)
        got = await self.all_copies(chunk.id, policy, header.id)
        _demand(chunk.id, policy, [site for site, _ in got], self.process.rules.acks)
        return Written([common_pb2.ChunkRef(id=chunk.id, size_bytes=1)], len(found), len(found))


def _demand(chunk_id: bytes, policy: Policy, sites: Sequence[Site], least: int = 0) -> None:
    if len(sites) < (least or policy.replicas) or (not least and any(shortfall(policy, sites))):
        said = f"chunk {chunk_id.hex()[:6]} has {len(sites)} copies now"
        raise McError("COPIES_MISSING", said)


@dataclass(slots=True)
class Steady:
    """Makes a result safe whose worker is gone."""

    delivering: Delivering

    async def make(self, header: records_pb2.JobHeader, result: Result) -> task_pb2.Fact:
        policy, process = policy_of(header.spec.policy), self.delivering.process
        made = []
        for chunk in result.chunks:
            holders = await self._holders(chunk.id, header.id)
            if not holders:
                raise McError("COPIES_MISSING", f"nobody who answers has {chunk.id.hex()[:6]}")
            sites = [site for site, _ in holders]
            got = await self.delivering.all_copies(chunk.id, policy, header.id, sites)
            every = [*holders, *got]
            _demand(chunk.id, policy, [site for site, _ in every])
            process.world.acked(header.id, result.id, chunk.id)
            copies = [(site.node, volume) for site, volume in every]
            made.append(sealed_chunk(chunk.id, chunk.file_bytes, chunk.file_bytes, copies))
        return safe_fact(result.id, made)

    async def _holders(self, chunk_id: bytes, job: str) -> list[tuple[Site, str]]:
        async def has(other: Any) -> list[Held]:
            found: list[Held] = await other.store.have([chunk_id], Pin(job))
            return found

        process = self.delivering.process
        found: list[tuple[Site, str]] = []
        for site in (process.members.own, *process.members.others()):
            with suppress(McError):
                held = await process.ask(site.node, has, 2.0)
                found += [(site, one.volume) for one in held]
        return found


@dataclass(slots=True)
class Hand:
    """A worker: takes a task, needs a while, delivers, tells the keepers."""

    process: Any
    delivering: Delivering
    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def run(self, job: str, header: Callable[[], records_pb2.JobHeader], pull: Pull) -> None:
        while True:
            with suppress(McError):
                async with asyncio.TaskGroup() as group:
                    with suppress(McError):
                        await self._session(job, header().steward, pull, group)
            await asyncio.sleep(AGAIN_S)

    async def _session(self, job: str, steward: str, pull: Pull, group: asyncio.TaskGroup) -> None:
        said: asyncio.Queue[task_pb2.PullTasksRequest] = asyncio.Queue()
        running: dict[str, asyncio.Task[None]] = {}

        async def requests() -> AsyncIterator[task_pb2.PullTasksRequest]:
            while True:
                room = max(0, SLOTS - len(running))
                credit = task_pb2.WorkerCredit(slots=room, bytes=1 << 30, running=list(running))
                yield task_pb2.PullTasksRequest(credit=credit)
                with suppress(TimeoutError):
                    async with asyncio.timeout(CREDIT_S):
                        yield await said.get()

        order = task_pb2.WorkOrder()
        try:
            async for answer in pull(job, steward, requests()):
                if answer.HasField("order"):
                    order = answer.order
                elif answer.HasField("task") and answer.task.id not in running:
                    name = answer.task.id
                    task = group.create_task(self._work(order, answer.task, said))
                    running[name] = task
                    task.add_done_callback(partial(_forget, running, name))
        finally:
            for task in list(running.values()):
                task.cancel()

    async def _work(
        self,
        order: task_pb2.WorkOrder,
        task: task_pb2.Task,
        said: asyncio.Queue[task_pb2.PullTasksRequest],
    ) -> None:
        process = self.process
        rng = process.rng
        await asyncio.sleep(rng.expovariate(1 / process.slowness_s))
        if task.id in process.world.poisoned or rng.random() < REFUSED:
            refused = task_pb2.TaskRefused(task=task.id, reason="FAILED", message="it did not work")
            await said.put(task_pb2.PullTasksRequest(refused=refused))
            return
        with suppress(McError):
            await self._delivered(order, task)

    async def _delivered(self, order: task_pb2.WorkOrder, task: task_pb2.Task) -> None:
        process = self.process
        content = tuple(
            f"{one.path.decode()} {one.etag} {one.range.offset_bytes} {one.range.size_bytes}"
            for one in task.inputs
        )
        # Salted: every attempt makes another chunk of the same bytes; some worlds find them again.
        salt = "" if process.world.same_chunks else f"#{process.rng.getrandbits(32)}"
        chunk, policy = sealed(content, salt), policy_of(order.spec.policy)
        nodes = [keeper.node for keeper in order.keepers]
        keepers = Keepers(
            order.job, nodes, process.host.id, process.jobs.keeping, process.channel_to, process.rng
        )
        size = sum(one.range.size_bytes for one in task.inputs)
        fact: task_pb2.Fact | None = None
        copies: list[tuple[Site, str]] = []
        async for copies in self.delivering.copies(chunk.id, policy, order.job):
            if fact is None and len(copies) >= process.rules.acks:
                fact = _result(order, task, process.host.id, _chunk(chunk.id, size, copies), size)
                await keepers.append([fact], within_s=GIVE_S)
                process.world.acked(order.job, fact.id, chunk.id)
        if fact is not None and not any(shortfall(policy, [site for site, _ in copies])):
            safe = safe_fact(fact.id, [_chunk(chunk.id, size, copies)])
            await keepers.append([safe], within_s=GIVE_S)


def _chunk(chunk_id: bytes, size: int, copies: Sequence[tuple[Site, str]]) -> task_pb2.SealedChunk:
    return sealed_chunk(chunk_id, size, size, [(site.node, volume) for site, volume in copies])


def _result(
    order: task_pb2.WorkOrder,
    task: task_pb2.Task,
    worker: str,
    chunk: task_pb2.SealedChunk,
    size: int,
) -> task_pb2.Fact:
    records = task_pb2.StepCounts(step="keep", records_in=size, records_out=size)
    return result_fact(
        task_pb2.TaskResult(
            task=task.id,
            worker=worker,
            attempt=task.attempt,
            chunks=[chunk],
            objects_ingested=sum(one.range.offset_bytes == 0 for one in task.inputs),
            bytes_in=size,
            bytes_out=size,
            steps=[records],
        )
    )


def _forget(running: dict[str, asyncio.Task[None]], name: str, _: object) -> None:
    running.pop(name, None)
