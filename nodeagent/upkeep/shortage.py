"""Copies that are missing: once a member is gone for good, the best-ranked holder of each chunk
that something names brings it to further nodes, chunks with the fewest copies first.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from coordinator.policy import Policy, Site, unmet
from multicloud.errors import McError
from nodeagent.core.upkeep_surplus import better
from nodeagent.store.contract import Held
from nodeagent.upkeep.contract import (
    DAY_S,
    Chunks,
    Fellows,
    Giving,
    Happenings,
    Live,
    Members,
    Roots,
    Settings,
    Telling,
)
from nodeagent.upkeep.rate import Rate
from nodeagent.upkeep.walk import walk

_log = structlog.stdlib.get_logger(__name__)
BATCH = 64  # Chunks that a member is asked about at once.
NONCE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Short:
    held: Held
    policy: Policy
    holders: tuple[Site, ...]


@dataclass(slots=True)
class Shortage:
    chunks: Chunks
    roots: Roots
    fellows: Fellows
    members: Members
    giving: Giving
    settings: Callable[[], Settings]
    telling: Telling
    happenings: Happenings
    rate: Rate  # Of bytes that are sent.
    clock_s: Callable[[], float] = time.monotonic
    _whole: frozenset[str] = field(default=frozenset())  # With these members nothing was missing.
    _looked_s: float = -1e9

    async def look(self) -> int:
        """How many chunks were given copies; cheap while nobody came or went."""
        members = frozenset(site.node for site in self.members.others())
        recent = self.clock_s() - self._looked_s < self.settings().surplus_every_s
        # Who is merely away comes back with all its copies, and what many lost at once is likelier
        # a cut than a catastrophe: in both cases nothing is made anew for now.
        if (members == self._whole and recent) or not self.members.settled():
            return 0
        live = await self.roots.read(anew=False)
        if live is None:
            return 0
        given, failed = await self._all(live)
        if not failed:
            self._whole, self._looked_s = members, self.clock_s()
        return given

    async def _all(self, live: Live) -> tuple[int, int]:
        short: list[Short] = []
        batch: list[Held] = []
        async for one in walk(self.chunks):
            if one.chunk_id in live.chunks:
                batch.append(one)
            if len(batch) == BATCH:
                short += await self._short(batch, live)
                batch = []
        short += await self._short(batch, live)
        given = failed = 0
        for lacking in sorted(short, key=lambda each: len(each.holders)):
            if await self._give(lacking):
                given += 1
            else:
                failed += 1
        return given, failed

    async def _short(self, batch: Sequence[Held], live: Live) -> list[Short]:
        """Those that lack copies, and that are ours to see to."""
        own = self.members.own
        has: dict[bytes, list[Site]] = {one.chunk_id: [own] for one in batch}
        nonce = secrets.token_bytes(NONCE_BYTES)
        for site in self.members.others() if batch else ():
            ids = list(has)
            proofs = await self.fellows.prove(site.node, ids, nonce, fresh_s=DAY_S)
            for chunk_id, proof in zip(ids, proofs, strict=True):
                if proof.good:
                    has[chunk_id].append(site)
        await asyncio.sleep(0)  # Ranking takes time, and others have work, too.
        found = []
        for one in batch:
            policy, holders = live.chunks[one.chunk_id], has[one.chunk_id]
            ours = not better(one.chunk_id, own.node, holders)
            if ours and unmet(policy, holders, {}):
                found.append(Short(one, policy, tuple(holders)))
        return found

    async def _give(self, short: Short) -> bool:
        held, chunk = short.held, short.held.chunk_id.hex()
        await self.rate.take(held.file_bytes)
        with self.telling.span("chunk.restore", chunk=chunk, copies=len(short.holders)) as span:
            try:
                nodes = [site.node for site in short.holders]
                takers = await self.giving.give(held, short.policy, nodes)
            except McError as refused:
                self.telling.count("mc.upkeep.restored", outcome=refused.reason)
                span.fact(reason=refused.reason)
                _log.warning("copy_not_restored", chunk=chunk, why=refused.message)
                return False
        names = ", ".join(map(self.members.name, takers))
        self.telling.count("mc.upkeep.restored", outcome="ok")
        self.happenings.add("chunk.restored", chunk=chunk, why=f"{names} took a copy")
        return True
