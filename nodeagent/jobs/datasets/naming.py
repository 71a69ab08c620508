"""Which chunks are live, for nodes that store and have no keys: they ask one that reads manifests.

The one that is asked reads as it would for itself, and what it read is as old as the question.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from coordinator.policy import Policy
from coordinator.types import NodeId
from multicloud.errors import McError
from multicloud.v1 import chunk_pb2
from nodeagent.core.chunk.layout import HASH_BYTES
from nodeagent.jobs.datasets.roots import PROBE
from nodeagent.jobs.datasets.versions import VERSIONS, Versions
from nodeagent.jobs.datasets.whereabouts import Members
from nodeagent.rpc.call import Call
from nodeagent.rpc.policies import policy_message, policy_of
from nodeagent.store.contract import Held
from nodeagent.upkeep.contract import Live, Roots, Witness

IDS_MAX = 1024  # In one question.
AGAIN_S = 5.0  # What only adds copies may know so little late what came here.


class Reader(Roots, Witness, Protocol):
    """The roots of a node that has keys."""


class Asking(Protocol):
    async def name(
        self, node: str, ids: Sequence[bytes], *, anew: bool, witness: bool = False
    ) -> chunk_pb2.NameChunksResponse: ...


class Chunks(Protocol):
    def list(self, after: bytes = b"") -> AsyncIterator[Held]: ...


@dataclass(slots=True)
class NamingService:
    roots: Reader

    async def name_chunks(
        self, request: chunk_pb2.NameChunksRequest, call: Call
    ) -> chunk_pb2.NameChunksResponse:
        ids = list(request.chunk_ids)
        if len(ids) > IDS_MAX or any(len(one) != HASH_BYTES for one in ids):
            raise McError("BAD_REQUEST", f"at most {IDS_MAX} ids of {HASH_BYTES} bytes")
        if request.witness:
            named, _ = await self.roots.names(ids)
            found = [chunk_pb2.NamedChunk(chunk_id=one) for one in ids if named[one]]
            return chunk_pb2.NameChunksResponse(said=True, named=found)
        live = await self.roots.read(anew=request.anew)
        if live is None:
            return chunk_pb2.NameChunksResponse()
        found = [
            chunk_pb2.NamedChunk(chunk_id=one, policy=policy_message(live.chunks[one]))
            for one in ids
            if one in live.chunks
        ]
        return chunk_pb2.NameChunksResponse(said=True, named=found, live_chunks=live.in_all)


@dataclass(slots=True)
class AskedRoots:
    """Roots and Witness of a node without keys. Nobody who can tell: nothing is deleted."""

    versions: Versions
    chunks: Chunks
    members: Members
    asking: Asking
    clock_unix_s: Callable[[], float] = time.time
    clock_s: Callable[[], float] = time.monotonic
    _known: tuple[object, float, Live] | None = None
    _told_by: NodeId = ""  # The list; the witness is another one where there is one.

    async def read(self, *, anew: bool = True) -> Live | None:
        as_of_unix_s, now_s = self.clock_unix_s(), self.clock_s()
        if anew:
            await self.versions.council.get(PROBE)
        registers = self.versions.council.list(VERSIONS)
        if not registers:
            return None
        which = tuple((one.key, one.version) for one in registers)
        asked, asked_s, known = self._known or (None, 0.0, None)
        known = known if asked == which else None
        if known is not None and not anew and now_s - asked_s < AGAIN_S:
            return known
        chunks, in_all = await self._named(anew)
        others = in_all - len(chunks)
        if known is None or anew or (known.chunks, known.others) != (chunks, others):
            known = Live(chunks, as_of_unix_s, others)
        self._known = which, now_s, known
        return known

    async def names(self, chunk_ids: Collection[bytes]) -> tuple[Mapping[bytes, bool], float]:
        as_of_unix_s = self.clock_unix_s()
        ids, named = list(chunk_ids), set[bytes]()
        for first in range(0, len(ids), IDS_MAX):
            some = ids[first : first + IDS_MAX]
            answer = await self._ask(some, anew=True, witness=True)
            named |= {one.chunk_id for one in answer.named}
        return {one: one in named for one in ids}, as_of_unix_s

    async def _named(self, anew: bool) -> tuple[dict[bytes, Policy], int]:
        """Of the chunks that are here; and how many are live in all."""
        ids = list(dict.fromkeys([held.chunk_id async for held in self.chunks.list()]))
        found: dict[bytes, Policy] = {}
        in_all = 0
        for first in range(0, max(1, len(ids)), IDS_MAX):
            answer = await self._ask(ids[first : first + IDS_MAX], anew=anew)
            if not answer.said:
                said = "the node that was asked knows of no versions yet"
                raise McError("STARTING", said, retry_after_s=AGAIN_S)
            found |= {one.chunk_id: policy_of(one.policy) for one in answer.named}
            in_all = answer.live_chunks
            await asyncio.sleep(0)
        return found, in_all

    async def _ask(
        self, ids: Sequence[bytes], *, anew: bool, witness: bool = False
    ) -> chunk_pb2.NameChunksResponse:
        nodes = [site.node for site in self.members.others()]
        # Who told the list goes on with it; the witness is somebody else, where there is one.
        nodes.sort(key=lambda node: (node == self._told_by) == witness)
        why = "no other node is here"
        for node in nodes:
            try:
                answer = await self.asking.name(node, ids, anew=anew, witness=witness)
            except McError as refused:
                why = f"{self.members.name(node)}: {refused.message}"
                continue
            self._told_by = self._told_by if witness else node
            return answer
        said = f"this node has no keys, and nobody told it which chunks datasets name ({why})"
        raise McError("UNREACHABLE", said, next="start a node that has the cluster key")
