"""Chunks that are there already, made to count for a job: their copies are found and pinned, and
where they are fewer than the policy asks, they feed the rest.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from coordinator.electorate import Ask
from coordinator.policy import Policy, Site, unmet
from coordinator.types import Domain, NodeId
from multicloud.errors import McError
from multicloud.v1 import common_pb2, records_pb2, task_pb2
from nodeagent.core.delivery_words import Copy, Goal
from nodeagent.jobs.plane_world import JobWorld
from nodeagent.store.contract import Pin
from nodeagent.wire.deliver import Delivered, Deliverer
from nodeagent.wire.outlet import Terms
from nodeagent.wire.parts import Parts

ASKED_AT_ONCE = 256
KNOWN_MAX = 1 << 14  # Chunks whose copies are remembered: several tasks take over of one.

Chunk = records_pb2.ManifestChunk


@dataclass(slots=True)
class Holding:
    """Of one job on this node. A pin lasts until the job's outcome, so a copy is asked for once."""

    deliverer: Deliverer
    world: JobWorld
    job: str
    goal: Goal
    _known: OrderedDict[bytes, task_pb2.SealedChunk] = field(default_factory=OrderedDict)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def of(self, chunks: Sequence[Chunk], task: str) -> dict[bytes, task_pb2.SealedChunk]:
        async with self._turn:
            new = [one for one in chunks if one.id not in self._known]
            for at in range(0, len(new), ASKED_AT_ONCE):
                await self._ask(new[at : at + ASKED_AT_ONCE], task)
            found = {one.id: self._known[one.id] for one in chunks if one.id in self._known}
            while len(self._known) > KNOWN_MAX:
                self._known.popitem(last=False)
            return found

    def safe(self, chunk: task_pb2.SealedChunk) -> bool:
        return self._meets(self.goal.policy, [copy.node for copy in chunk.copies])

    async def _ask(self, chunks: Sequence[Chunk], task: str) -> None:
        nodes = [node for node in self.world.view().members if self._may_hold(node)]
        async with asyncio.TaskGroup() as group:
            ids = [chunk.id for chunk in chunks]
            asked = [group.create_task(self._copies(node, ids)) for node in nodes]
        copies = [copy for each in asked for copy in each.result()]
        for chunk in chunks:
            told = _sealed(chunk, [copy for copy in copies if copy.chunk_id == chunk.id])
            if told.copies and not self._acked(told):
                done = await self.complete(told, task)
                told = _sealed(chunk, [_message(chunk.id, copy) for copy in done.reached.copies])
            if self._acked(told):
                self._known[chunk.id] = told

    async def _copies(self, node: NodeId, ids: Sequence[bytes]) -> list[common_pb2.Copy]:
        """Durable, good and pinned there. Who does not answer has none."""
        deliverer = self.deliverer
        try:
            if node != self.world.own:
                return await deliverer.client.have(node, ids, job=self.job)
            if deliverer.store is None:
                return []
            held = await deliverer.store.have(ids, Pin(self.job))
            return [_message(h.chunk_id, Copy(node, h.volume)) for h in held]
        except McError:
            return []

    async def complete(self, chunk: task_pb2.SealedChunk, task: str) -> Delivered:
        """From those who have it to whoever should."""
        holders = tuple(dict.fromkeys(copy.node for copy in chunk.copies))
        source = self.world.domain_of(self.world.own) or Domain("", "")
        ask = Ask(self.goal.policy, source, task, chunk.sealed_bytes, holders=holders)
        election = await asyncio.to_thread(self.deliverer.brain.elect, ask, {})
        terms = Terms(self.job, task, chunk.sealed_bytes, chunk.id)
        ack_copies = self.goal.ack_copies
        return await self.deliverer.deliver(_nowhere, election, terms, ack_copies=ack_copies)

    def _acked(self, chunk: task_pb2.SealedChunk) -> bool:
        return self._meets(self.goal.acked, [copy.node for copy in chunk.copies])

    def _may_hold(self, node: NodeId) -> bool:
        domain = self.world.domain_of(node)
        allowed = domain is not None and self.goal.policy.allows(domain)
        return allowed and self.world.is_there(node)

    def _meets(self, policy: Policy, nodes: Sequence[NodeId]) -> bool:
        domains = {node: self.world.domain_of(node) for node in nodes}
        sites = [Site(domain, node) for node, domain in domains.items() if domain is not None]
        return not unmet(policy, sites, {})


def _sealed(chunk: Chunk, copies: Sequence[common_pb2.Copy]) -> task_pb2.SealedChunk:
    return task_pb2.SealedChunk(
        id=chunk.id,
        sealed_bytes=chunk.sealed_bytes,
        plain_bytes=chunk.plain_bytes,
        copies=copies,
        duplicate_tag=chunk.duplicate_tag,
        reused=True,
    )


def _message(chunk_id: bytes, copy: Copy) -> common_pb2.Copy:
    return common_pb2.Copy(chunk_id=chunk_id, node=copy.node, volume=copy.volume)


def _nowhere() -> Parts:
    """It is asked for when no copy is left: then the bytes are read from the source."""
    raise McError("COPIES_MISSING", "no node that answers has that chunk")
