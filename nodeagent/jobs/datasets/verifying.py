"""Has every member read its copies of a version's chunks now, and prove it with a nonce."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from coordinator.policy import Site
from coordinator.types import NodeId
from multicloud.errors import McError
from multicloud.v1 import chunk_pb2, common_pb2, read_pb2
from nodeagent.core.upkeep_proofs import Proof, good, judged
from nodeagent.jobs.datasets.manifest_reading import ManifestReading
from nodeagent.rpc.policies import policy_of
from nodeagent.store.contract import Held, Verified

NONCE_BYTES = 32
AT_ONCE = 16  # Chunks in one question; each copy is read whole before it is answered.
ASK_S = 60.0
BAD_TOLD_MAX = 1000


class Members(Protocol):
    @property
    def own(self) -> Site: ...
    def others(self) -> Sequence[Site]: ...


class Chunks(Protocol):
    async def find(self, chunk_ids: Sequence[bytes]) -> list[Held]: ...
    async def verify(self, chunk_id: bytes, nonce: bytes = b"") -> Verified: ...


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
class Verifying:
    members: Members
    chunks: Chunks | None  # None: this node keeps none.
    client: Asking

    async def of(self, manifest: ManifestReading) -> AsyncIterator[read_pb2.VerifyVersionResponse]:
        """The sums so far, again and again; the last one says that it is the last."""
        replicas = policy_of(manifest.record.policy).replicas
        sums = read_pb2.VerifyVersionResponse()
        async for ids in _batches(manifest):
            proofs = await self._proofs(ids)
            for chunk_id in ids:
                _add(sums, chunk_id, judged(proofs[chunk_id]), replicas)
            yield sums
            del sums.bad[:]
        sums.last = True
        yield sums

    async def _proofs(self, ids: list[bytes]) -> dict[bytes, list[Proof]]:
        nonce = secrets.token_bytes(NONCE_BYTES)
        found: dict[bytes, list[Proof]] = {one: [] for one in ids}
        async with asyncio.TaskGroup() as group:
            group.create_task(self._own(ids, nonce, found))
            for site in self.members.others():
                group.create_task(self._of(site.node, ids, nonce, found))
        return found

    async def _own(self, ids: list[bytes], nonce: bytes, found: dict[bytes, list[Proof]]) -> None:
        if self.chunks is None:
            return
        own = self.members.own.node
        for held in await self.chunks.find(ids):
            try:
                done = await self.chunks.verify(held.chunk_id, nonce)
            except McError as bad:
                found[held.chunk_id].append(Proof(own, held.volume, reason=bad.reason))
                continue
            proof = Proof(own, done.held.volume, good=True, proof=done.proof)
            found[held.chunk_id].append(proof)

    async def _of(
        self, node: NodeId, ids: list[bytes], nonce: bytes, found: dict[bytes, list[Proof]]
    ) -> None:
        left = list(ids)
        while left:
            try:
                told = await self.client.verify(node, left, nonce, timeout_s=ASK_S)
            except McError:
                return  # Its copies are not proven, and so they are missing.
            if not told:
                return
            for one in told:
                left.remove(one.chunk_id)
                if one.good or one.reason != "NOT_FOUND":
                    proof = Proof(node, one.volume, one.good, proof=one.proof, reason=one.reason)
                    found[one.chunk_id].append(proof)


def _add(
    sums: read_pb2.VerifyVersionResponse, chunk_id: bytes, proofs: list[Proof], replicas: int
) -> None:
    fine = good(proofs)
    bad = [one for one in proofs if not one.good and not one.unknown]
    sums.chunks += 1
    sums.copies_checked += len(fine) + len(bad)
    sums.copies_good += len(fine)
    sums.copies_bad += len(bad)
    sums.copies_missing += max(0, replicas - len(fine))
    for one in bad[: BAD_TOLD_MAX - len(sums.bad)]:
        sums.bad.append(common_pb2.Copy(chunk_id=chunk_id, node=one.node, volume=one.volume))


async def _batches(manifest: ManifestReading) -> AsyncIterator[list[bytes]]:
    """The manifest's own chunks, then those that it names."""
    own = [ref.id for ref in manifest.record.manifest]
    for start in range(0, len(own), AT_ONCE):
        yield own[start : start + AT_ONCE]
    batch: list[bytes] = []
    async for chunk in manifest.chunks():
        batch.append(chunk.id)
        if len(batch) >= AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch
