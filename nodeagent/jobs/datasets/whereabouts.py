"""Which members have a chunk: asked of all of them at once, and remembered for a while.

What somebody said is a hint. Whoever reads checks every byte, and asks anew when it was wrong.
"""

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from coordinator.policy import Site
from coordinator.types import NodeId
from multicloud.errors import McError
from multicloud.v1 import chunk_pb2

ASK_S = 3.0
MORE_S = 0.05  # Once somebody has each chunk, the others get so long to say that they do, too.
KNOWN_S = 60.0
KNOWN_MAX = 1 << 16  # Chunks.
NONCE_BYTES = 16
AT_ONCE = 64  # Chunks in one question.
_EVER_S = (1 << 32) - 1  # However long ago a copy was checked: nothing is read to answer.


class Members(Protocol):
    def others(self) -> Sequence[Site]:
        """Those that may be asked now, the nearest first."""
        ...

    def away(self) -> Sequence[NodeId]: ...
    def name(self, node: NodeId) -> str: ...


class Asking(Protocol):
    async def verify(
        self,
        node: str,
        ids: Sequence[bytes],
        nonce: bytes,
        *,
        fresh_s: int = 0,
        timeout_s: float = 0.0,
    ) -> list[chunk_pb2.ChunkProof]: ...


@dataclass(slots=True)
class Known:
    nodes: list[NodeId]
    asked_s: float


@dataclass(slots=True)
class AskedWhereabouts:
    members: Members
    client: Asking
    clock_s: Callable[[], float] = time.monotonic
    _known: OrderedDict[bytes, Known] = field(default_factory=OrderedDict)

    async def of(self, chunk_id: bytes, beside: Collection[bytes] = ()) -> list[NodeId]:
        """Other members that have it, the nearest first. `beside`: chunks that are read next, and
        may as well be asked for.
        """
        if not self._is_known(chunk_id):
            ids = [chunk_id, *(one for one in beside if not self._is_known(one))]
            await self._ask(list(dict.fromkeys(ids))[:AT_ONCE])
        return list(self._known[chunk_id].nodes)

    def forget(self, chunk_id: bytes) -> None:
        """What was said of it has proven wrong."""
        self._known.pop(chunk_id, None)

    def _is_known(self, chunk_id: bytes) -> bool:
        known = self._known.get(chunk_id)
        return known is not None and self.clock_s() - known.asked_s < KNOWN_S

    async def _ask(self, ids: list[bytes]) -> None:
        found: dict[bytes, list[NodeId]] = {one: [] for one in ids}
        order = [site.node for site in self.members.others()]
        async with asyncio.TaskGroup() as group:
            pending = {group.create_task(self._one(node, ids, found)) for node in order}
            while pending:
                patience_s = MORE_S if all(found.values()) else None
                done, pending = await asyncio.wait(
                    pending, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    break
            for slow in pending:
                slow.cancel()
        for chunk_id, nodes in found.items():
            nodes.sort(key=order.index)
            self._known[chunk_id] = Known(nodes, self.clock_s())
            self._known.move_to_end(chunk_id)
        while len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)

    async def _one(self, node: NodeId, ids: list[bytes], found: dict[bytes, list[NodeId]]) -> None:
        nonce = secrets.token_bytes(NONCE_BYTES)
        try:
            told = await self.client.verify(node, ids, nonce, fresh_s=_EVER_S, timeout_s=ASK_S)
        except McError:
            return  # It has nothing for us now; whoever reads says who did not answer.
        for proof in told:
            if proof.good:
                found[proof.chunk_id].append(node)
