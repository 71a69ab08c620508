"""Traces of chunks that failed or were slow are kept, on every node that had a part in them.

This node keeps its own spans at once, and tells the others a moment later, many together.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol

from coordinator.types import NodeId
from multicloud.errors import McError
from nodeagent.core.slow import Slow

TELL_EVERY_S = 0.5
WAITING_MAX = 512  # Traces that others have not been told of; the oldest are let go.
IDS_PER_CALL_MAX = 256


class Tell(Protocol):
    async def __call__(self, node: NodeId, trace_ids: Collection[str]) -> None:
        """McError when it cannot be told."""
        ...


@dataclass(slots=True)
class TraceKeeping:
    own: NodeId
    keep: Callable[[str], None]  # Here.
    tell: Tell
    slow: Slow = field(default_factory=Slow)
    missed: int = 0  # Nodes that could not be told.
    _waiting: deque[tuple[str, frozenset[NodeId]]] = field(
        default_factory=lambda: deque(maxlen=WAITING_MAX)
    )

    def ended(self, trace_id: str, seconds: float, nodes: Collection[NodeId]) -> None:
        if self.slow.is_slow(seconds):
            self.failed(trace_id, nodes)

    def failed(self, trace_id: str, nodes: Collection[NodeId]) -> None:
        if trace_id:
            self.keep(trace_id)
            self._waiting.append((trace_id, frozenset(nodes) - {self.own}))

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(TELL_EVERY_S)
            await self.tell_all()

    async def tell_all(self) -> None:
        by_node: dict[NodeId, list[str]] = {}
        while self._waiting:
            trace_id, nodes = self._waiting.popleft()
            for node in nodes:
                by_node.setdefault(node, []).append(trace_id)
        for node, ids in by_node.items():
            try:
                for start in range(0, len(ids), IDS_PER_CALL_MAX):
                    await self.tell(node, ids[start : start + IDS_PER_CALL_MAX])
            except McError:
                self.missed += 1  # It may be what the trace failed by.
