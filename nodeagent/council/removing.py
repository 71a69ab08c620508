"""Nodes that never come back: decided by the council, kept on this disk, told to the brain, whose
gossip carries it on. Only who holds the decision lets that gossip begin.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from uuid import uuid4

import structlog

from coordinator.events import RemovalDecided
from coordinator.types import Knowing, NodeId, View
from multicloud.errors import McError
from multicloud.v1 import records_pb2
from nodeagent.council.part import CouncilPart
from nodeagent.ops.decisions import Decisions

_log = structlog.stdlib.get_logger(__name__)
PREFIX = "node/"


class Removals:
    def __init__(
        self,
        part: CouncilPart,
        decisions: Decisions,
        name_of: Callable[[NodeId], str],
        tell: Callable[[RemovalDecided], None],
        on_learned: Callable[[], None],
    ) -> None:
        self._part, self._decisions = part, decisions
        self._name_of, self._tell, self._on_learned = name_of, tell, on_learned
        self._known = dict(decisions.removed())

    @property
    def known(self) -> Mapping[NodeId, str]:
        """Id to the name that it had; on this disk."""
        return self._known

    async def remove(self, node: NodeId, wish: str) -> None:
        """Decided when it returns. NO_MAJORITY where that cannot be."""
        await self._part.hand_over(node)
        record = records_pb2.NodeRecord(id=node, name=self._name_of(node), removed=True)
        wish = wish or uuid4().hex
        await self._part.council.compare_and_set(PREFIX + node, 0, record.SerializeToString(), wish)
        await self._keep([node])
        self._tell(RemovalDecided(node))

    async def follow(self, view: View) -> None:
        """What is decided is told to the brain; what gossip brought is kept, too."""
        decided = {r.key.removeprefix(PREFIX) for r in self._part.council.list(PREFIX)}
        gossiped = {n for n, m in view.members.items() if m.knowing is Knowing.REMOVED}
        fresh = (decided | gossiped) - self._known.keys()
        if not fresh:
            return
        try:
            await self._keep(fresh)
        except McError as unsaved:
            _log.error("removal_unsaved", why=unsaved.message, next="it is tried again at once")
            return
        for node in decided & fresh:
            self._tell(RemovalDecided(node))
        self._on_learned()

    async def _keep(self, nodes: Iterable[NodeId]) -> None:
        fresh = {node: self._name_of(node) for node in nodes}
        await asyncio.to_thread(self._decisions.remove, fresh)
        self._known |= fresh
