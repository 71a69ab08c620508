"""Brings a chunk that is here to as many further nodes as its policy lacks."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.electorate import Ask
from coordinator.policy import Policy
from coordinator.types import NodeId
from multicloud.errors import McError
from nodeagent.store.contract import Held
from nodeagent.upkeep.contract import Members
from nodeagent.wire.deliver import Deliverer
from nodeagent.wire.outlet import Terms
from nodeagent.wire.parts import Parts


@dataclass(slots=True)
class DeliveredGiving:
    deliverer: Deliverer
    members: Members

    async def give(self, held: Held, policy: Policy, holders: Sequence[NodeId]) -> Sequence[NodeId]:
        own, chunk = self.members.own, held.chunk_id
        ask = Ask(policy, own.domain, chunk.hex(), held.file_bytes, holders=tuple(holders))
        election = await asyncio.to_thread(self.deliverer.brain.elect, ask, {})
        terms = Terms(file_bytes_max=held.file_bytes, chunk_id=chunk)
        delivered = await self.deliverer.deliver(lambda: _gone(chunk), election, terms)
        delivered.demand_safe()
        return [c.node for c in delivered.reached.copies if c.node not in holders]


def _gone(chunk_id: bytes) -> Parts:
    """Asked for when no copy was found, the own one included."""
    said = f"chunk {chunk_id.hex()} was here and is not any more"
    raise McError("COPIES_MISSING", said, next="its other holders restore it")
