"""Damaged files are kept as evidence until enough good copies are proven and a day has passed."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from coordinator.policy import Policy
from multicloud.errors import McError
from nodeagent.core.upkeep_proofs import Proof, good, judged, may_discard
from nodeagent.store.contract import Evidence
from nodeagent.upkeep.contract import Chunks, Fellows, Live, Members, Roots, Settings, Whereabouts
from nodeagent.upkeep.rate import Rate
from nodeagent.upkeep.surplus import NONCE_BYTES

_log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class EvidencePass:
    chunks: Chunks
    fellows: Fellows
    members: Members
    whereabouts: Whereabouts
    roots: Roots
    settings: Callable[[], Settings]
    rate: Rate  # Of bytes that are read to be sure.
    clock_unix_s: Callable[[], float] = time.time

    async def pass_once(self) -> int:
        """How many pieces went."""
        keep_s = self.settings().evidence_keep_s
        now_s = self.clock_unix_s()
        old = [e for e in await self.chunks.evidence() if now_s - e.found_unix_s >= keep_s]
        if not old:
            return 0
        try:
            live = await self.roots.read()
        except McError:
            live = None  # Then the default policy says how many copies are enough.
        gone = 0
        for piece in old:
            await self.rate.take(piece.file_bytes)
            if await self._needless(piece, live):
                await self.chunks.discard(piece.name)
                _log.info("evidence_discarded", chunk=piece.chunk_id.hex(), name=piece.name)
                gone += 1
        return gone

    async def _needless(self, piece: Evidence, live: Live | None) -> bool:
        chunk_id = piece.chunk_id
        if live is not None and chunk_id not in live.chunks:
            return not await self.chunks.pins(chunk_id)
        policy = live.chunks[chunk_id] if live is not None else Policy()
        holders = await self.whereabouts.holders(chunk_id)
        nonce = secrets.token_bytes(NONCE_BYTES)
        own = b""
        proofs: list[Proof] = []
        if await self.chunks.find([chunk_id]):
            try:
                own = (await self.chunks.verify(chunk_id, nonce)).proof
            except McError:
                return False  # The copy that took its place is bad itself.
        for node in holders:  # One that is away is not proven, and is counted as one there is.
            try:
                proofs += await self.fellows.prove(node, [chunk_id], nonce)
            except McError as away:
                _log.info("evidence_unanswered", node=node, reason=away.reason)
        proven = len(good(judged(proofs, own))) + bool(own)
        now_s, keep_s = self.clock_unix_s(), self.settings().evidence_keep_s
        known = len(holders) + 1
        return may_discard(piece.found_unix_s, now_s, keep_s, proven, policy.replicas, known)
