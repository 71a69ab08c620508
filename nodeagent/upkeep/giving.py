"""Brings a chunk that is here to as many further nodes as its policy lacks."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.electorate import Ask
from coordinator.policy import Policy
from coordinator.types import NodeId
from nodeagent.store.contract import Held
from nodeagent.store.volumes import Volumes
from nodeagent.upkeep.contract import Members
from nodeagent.wire.deliver import Deliverer
from nodeagent.wire.outlet import Terms
from nodeagent.wire.parts import Parts
from nodeagent.wire.push import stored_parts


@dataclass(slots=True)
class DeliveredGiving:
    deliverer: Deliverer
    members: Members

    async def give(self, held: Held, policy: Policy, holders: Sequence[NodeId]) -> Sequence[NodeId]:
        own, chunk = self.members.own, held.chunk_id
        ask = Ask(policy, own.domain, chunk.hex(), held.file_bytes, holders=tuple(holders))
        election = await asyncio.to_thread(self.deliverer.brain.elect, ask, {})
        terms = Terms(file_bytes_max=held.file_bytes, chunk_id=chunk)
        store = self.deliverer.store
        assert store is not None
        delivered = await self.deliverer.deliver(lambda: _parts(store, chunk), election, terms)
        delivered.demand_safe()
        return [c.node for c in delivered.reached.copies if c.node not in holders]


async def _parts(store: Volumes, chunk_id: bytes) -> Parts:
    """Where no copy counts that could feed the others: the only ones are on nodes being emptied."""
    reading = await store.read(chunk_id)
    try:
        async for part in stored_parts(reading):
            yield part
    finally:
        await reading.close()
