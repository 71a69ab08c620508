"""Where a chunk goes from here: to further nodes, and into own volumes that stand in the tree."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from coordinator.places import node_of, volume_of
from multicloud.errors import McError
from multicloud.v1 import chunk_pb2
from nodeagent.store.contract import Pin, Put
from nodeagent.store.volumes import DISK, Volumes
from nodeagent.wire.copying import OwnCopy, give_up
from nodeagent.wire.facts import Ledger
from nodeagent.wire.flow import Sink
from nodeagent.wire.ground import Ground
from nodeagent.wire.outlet import Outlet, Terms


@dataclass(slots=True)
class Sinks:
    """Made for one flow; `close` gives up puts of a flow that never began."""

    ground: Ground
    store: Volumes | None
    terms: Terms
    ledger: Ledger
    every: list[Sink] = field(default_factory=list)
    _puts: list[Put] = field(default_factory=list)

    async def add(self, trees: Sequence[chunk_pb2.PutTree]) -> None:
        """A bucket of this node passes nothing on: what hangs below it goes straight from here."""
        own = [tree for tree in trees if node_of(tree.node) == self.ground.node]
        others = [tree for tree in trees if tree not in own]
        self.every += [Outlet(self.ground, t, self.terms, self.ledger) for t in others]
        for tree in own:
            await self.add(tree.children)
            await self.keep(tree.node)

    async def keep(self, place: str) -> None:
        """A copy on a disk of this node, or in a bucket that it serves."""
        terms = self.terms
        pin = Pin(terms.job) if terms.job else None
        try:
            if self.store is None:
                raise McError("NO_ROOM", f"{self.ground.node} keeps no chunks")
            volume = self.store.named(volume_of(place) or DISK)
            put = await volume.put(terms.file_bytes_max, terms.chunk_id)
        except McError as error:
            self.ledger.fail(place, error)
            return
        self._puts.append(put)
        self.every.append(OwnCopy(self.ground, put, pin, self.ledger, place))

    async def close(self) -> None:
        for put in self._puts:
            await give_up(put)
