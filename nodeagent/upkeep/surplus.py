"""Copies beyond the policy: a holder trims only itself, into the trash, and only when better-ranked
holders that meet the policy have promised to keep the chunk for a day and then proven its bytes.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from coordinator.policy import Policy, Site
from coordinator.types import NodeId
from multicloud.errors import McError
from nodeagent.core.upkeep_proofs import Proof, good, judged
from nodeagent.core.upkeep_surplus import better, keepers
from nodeagent.store.contract import Held
from nodeagent.upkeep.contract import (
    DAY_S,
    Chunks,
    Fellows,
    Happenings,
    Members,
    Roots,
    Settings,
    Telling,
)
from nodeagent.upkeep.inspector import SURPLUS
from nodeagent.upkeep.rate import Rate
from nodeagent.upkeep.walk import walk

_log = structlog.stdlib.get_logger(__name__)
BATCH = 64  # Chunks that a member is asked about at once.
NONCE_BYTES = 32
PROMISE_S = DAY_S
HOUR_S = 3600.0  # A proof is no older when the copy here goes.


@dataclass(slots=True)
class Surplus:
    chunks: Chunks
    roots: Roots
    fellows: Fellows
    members: Members
    settings: Callable[[], Settings]
    telling: Telling
    happenings: Happenings
    rate: Rate  # Of bytes that are read to be sure.
    clock_unix_s: Callable[[], float] = time.time
    clock_s: Callable[[], float] = time.monotonic

    async def pass_once(self) -> int:
        """How many copies went to the trash here."""
        if self.members.frozen():
            return 0
        live = await self.roots.read()
        if live is None:
            return 0
        trimmed = 0
        batch: list[Held] = []
        async for one in walk(self.chunks):
            young = self.clock_unix_s() - one.stored_unix_s < self.settings().grace_s
            if one.chunk_id in live.chunks and not young:
                batch.append(one)
            if len(batch) == BATCH:
                trimmed += await self._batch(batch, live.chunks.__getitem__)
                batch = []
        return trimmed + await self._batch(batch, live.chunks.__getitem__)

    async def kept_elsewhere(self, held: Held) -> bool:
        """For a copy that lies in the trash already: would it be trimmed again?"""
        chunk_id = held.chunk_id
        live = await self.roots.read()
        if live is None:
            return False
        policy = live.chunks.get(chunk_id, Policy())
        keep = await self._keepers(chunk_id, policy, await self._who_has([chunk_id]))
        return keep is not None and await self._proven(held, keep, own=b"")

    async def _batch(self, batch: Sequence[Held], policy_of: Callable[[bytes], Policy]) -> int:
        trimmed = 0
        # Where too few rank better at all, nobody needs to be asked.
        asked = [
            one
            for one in batch
            if keepers(policy_of(one.chunk_id), self._better(one.chunk_id)) is not None
        ]
        await asyncio.sleep(0)  # Ranking takes time, and others have work, too.
        if not asked:
            return 0
        has = await self._who_has([one.chunk_id for one in asked])
        for one in asked:
            keep = await self._keepers(one.chunk_id, policy_of(one.chunk_id), has)
            if keep is not None and await self._trim(one, keep):
                trimmed += 1
        return trimmed

    def _better(self, chunk_id: bytes) -> list[Site]:
        stay = (s for s in self.members.others() if not self.members.is_draining(s.node))
        return better(chunk_id, self.members.own.node, stay)

    async def _who_has(self, chunk_ids: Sequence[bytes]) -> dict[bytes, set[NodeId]]:
        """A look without pins. Whoever does not answer has nothing that counts."""
        has: dict[bytes, set[NodeId]] = {chunk_id: set() for chunk_id in chunk_ids}
        nonce = secrets.token_bytes(NONCE_BYTES)
        for site in self.members.others():
            ids = [one for one in chunk_ids if site in self._better(one)]
            if not ids:
                continue
            try:
                proofs = await self.fellows.prove(site.node, ids, nonce, fresh_s=DAY_S)
            except McError as away:
                _log.info("surplus_unanswered", node=site.node, reason=away.reason)
                continue
            for chunk_id, proof in zip(ids, proofs, strict=True):
                if proof.good:
                    has[chunk_id].add(site.node)
        return has

    async def _keepers(
        self, chunk_id: bytes, policy: Policy, has: dict[bytes, set[NodeId]]
    ) -> tuple[Site, ...] | None:
        ranked = [site for site in self._better(chunk_id) if site.node in has[chunk_id]]
        return keepers(policy, ranked)

    async def _trim(self, one: Held, keep: Sequence[Site]) -> bool:
        chunk = one.chunk_id.hex()
        if await self.chunks.pins(one.chunk_id):
            return False
        begun_s = self.clock_s()
        with self.telling.span("chunk.trim", chunk=chunk):
            if not await self._proven(one, keep, own=None):
                return False
            if self.clock_s() - begun_s > HOUR_S:
                return False
            # Whoever pins it until then keeps it; whoever pins it later revives it.
            trashed = await self.chunks.trash(one.chunk_id, SURPLUS)
        if trashed:
            self.telling.count("mc.upkeep.trash", outcome="surplus")
            names = ", ".join(self.members.name(site.node) for site in keep)
            self.happenings.add("chunk.trimmed", chunk=chunk, why=f"{names} keep it")
        return trashed

    async def _proven(self, held: Held, keep: Sequence[Site], own: bytes | None) -> bool:
        """First the promise, on their disks, then the proof: what is proven stays for a day."""
        chunk_id = held.chunk_id
        await self.rate.take(held.file_bytes)
        nonce = secrets.token_bytes(NONCE_BYTES)
        try:
            if own is None:
                own = (await self.chunks.verify(chunk_id, nonce)).proof
            proofs: list[Proof] = []
            for site in keep:
                if chunk_id not in await self.fellows.promise(site.node, [chunk_id], PROMISE_S):
                    return False
                proofs += await self.fellows.prove(site.node, [chunk_id], nonce)
        except McError as unsure:
            _log.info("surplus_kept", chunk=chunk_id.hex(), reason=unsure.reason)
            return False
        return len(good(judged(proofs, own))) == len(keep)
