"""Makes a result safe whose worker is gone: copies that exist are found, and feed the rest."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from coordinator.electorate import Ask
from coordinator.jobs.facts import Chunk, Result
from coordinator.jobs.ledger import Ledger
from coordinator.placement import Election
from coordinator.prices import GB
from coordinator.types import Domain
from multicloud.errors import McError
from multicloud.v1 import common_pb2, job_pb2, records_pb2, task_pb2
from nodeagent.core.delivery_words import ACK_COPIES_DEFAULT
from nodeagent.jobs.facts import safe_fact
from nodeagent.jobs.plane_world import JobWorld
from nodeagent.rpc.policies import policy_of
from nodeagent.wire.deliver import Delivered, Deliverer
from nodeagent.wire.outlet import Terms
from nodeagent.wire.parts import Parts


class Safety(Protocol):
    async def make(self, header: records_pb2.JobHeader, result: Result) -> task_pb2.Fact:
        """The fact that it is safe; COPIES_MISSING and others when it cannot be made so now."""
        ...


@dataclass(slots=True)
class DeliveredSafety:
    deliverer: Deliverer
    world: JobWorld

    async def make(self, header: records_pb2.JobHeader, result: Result) -> task_pb2.Fact:
        chunks: list[task_pb2.SealedChunk] = []
        edges: list[job_pb2.EdgeBytes] = []
        for chunk in result.chunks:
            delivered = await self._chunk(header, result.task, chunk)
            delivered.demand_safe()
            copies = [
                common_pb2.Copy(chunk_id=chunk.id, node=copy.node, volume=copy.volume)
                for copy in delivered.reached.copies
            ]
            sealed = task_pb2.SealedChunk(
                id=chunk.id, sealed_bytes=chunk.file_bytes, copies=copies, reused=chunk.reused
            )
            chunks.append(sealed)
            edges += self._edges(delivered, chunk)
        return safe_fact(result.id, chunks, edges)

    async def _chunk(self, header: records_pb2.JobHeader, task: str, chunk: Chunk) -> Delivered:
        policy = policy_of(header.spec.policy)
        holders = tuple(dict.fromkeys(copy.node for copy in chunk.copies))
        source = self._source(holders)
        ask = Ask(policy, source, task, chunk.file_bytes, holders=holders)
        election = await asyncio.to_thread(self.deliverer.brain.elect, ask, {})
        terms = Terms(header.id, task, chunk.file_bytes, chunk.id)
        ack = ack_copies(header.spec)
        return await self.deliverer.deliver(
            lambda: _nowhere(chunk), election, terms, ack_copies=ack
        )

    def _source(self, holders: Iterable[str]) -> Domain:
        domains = [self.world.domain_of(node) for node in (*holders, self.world.own)]
        found = next((domain for domain in domains if domain is not None), None)
        return found or Domain("", "")

    def _edges(self, delivered: Delivered, chunk: Chunk) -> Iterable[job_pb2.EdgeBytes]:
        """What crossed borders, by the tree that was elected."""
        new = {copy.node for copy in delivered.reached.copies if not copy.already}
        election: Election = delivered.election
        for edge in (*election.tree, *election.fed):
            giver = self.world.domain_of(edge.source) or election.ask.source
            taker = self.world.domain_of(edge.target)
            if edge.target in new and taker is not None and giver.cloud != taker.cloud:
                yield job_pb2.EdgeBytes(
                    from_cloud=giver.cloud,
                    to_cloud=taker.cloud,
                    bytes=chunk.file_bytes,
                    usd=edge.usd_per_gb * chunk.file_bytes / GB,
                )


async def settle(
    header: records_pb2.JobHeader,
    ledger: Ledger,
    world: JobWorld,
    safety: Safety,
    settled: set[str],
) -> None:
    """Returns when every chunk that counts has as many live copies as an ack asks for.

    What was safe may have lost copies since; `settled` remembers what was made safe here again.
    """
    enough = ack_copies(header.spec)
    for task in list(ledger.tasks.values()):
        result = task.chosen
        if result is None or result.id in settled:
            continue
        chunks = task.chunks()
        if any(_live(chunk, world) < enough for chunk in chunks):
            await safety.make(header, replace(result, chunks=chunks))
        settled.add(result.id)


def _live(chunk: Chunk, world: JobWorld) -> int:
    return len({copy.node for copy in chunk.copies if world.is_there(copy.node)})


def ack_copies(spec: job_pb2.JobSpec) -> int:
    return spec.policy.ack_copies or min(ACK_COPIES_DEFAULT, policy_of(spec.policy).replicas)


def _nowhere(chunk: Chunk) -> Parts:
    """It is asked for when no copy was found: the bytes are nowhere else."""
    said = f"no node that answers has chunk {chunk.id.hex()}"
    raise McError("COPIES_MISSING", said, next="start the nodes that hold it")
