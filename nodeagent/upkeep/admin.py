"""What operators ask about chunks: a node's volumes in full, proofs of one chunk's copies by every
member, and a node's examination.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from coordinator.policy import Policy
from coordinator.types import NodeId
from multicloud.errors import McError
from multicloud.v1 import admin_pb2
from nodeagent.core.chunk.layout import HASH_BYTES
from nodeagent.core.upkeep_proofs import Proof, judged
from nodeagent.rpc.admin.passing import Passing
from nodeagent.rpc.call import Call
from nodeagent.store.contract import Health
from nodeagent.upkeep.contract import Chunks, Fellows, Members, Roots
from nodeagent.upkeep.damages import Damages
from nodeagent.upkeep.doctor import Doctor
from nodeagent.wire.plane import volume_facts

NONCE_BYTES = 32


@dataclass(slots=True)
class UpkeepAdmin:
    passing: Passing
    doctor: Doctor
    chunks: Chunks
    members: Members
    fellows: Fellows
    roots: Roots
    damages: Damages
    healths: Callable[[], Mapping[str, Health]]
    folders: Callable[[], Mapping[str, str]]  # By the volume's uuid.
    clock_unix_s: Callable[[], float]

    async def list_volumes(
        self, request: admin_pb2.ListVolumesRequest, call: Call
    ) -> admin_pb2.ListVolumesResponse:
        passed = await self.passing.answer(request, admin_pb2.ListVolumesResponse, call)
        return passed or admin_pb2.ListVolumesResponse(
            volumes=self._volumes(), damaged=len(self.damages.open), lost=self.damages.lost
        )

    def _volumes(self) -> list[admin_pb2.Volume]:
        healths, folders = self.healths(), self.folders()
        return [
            admin_pb2.Volume(
                facts=facts,
                folder=folders.get(facts.uuid, ""),
                why=healths[facts.uuid].why,
                bytes_total=healths[facts.uuid].bytes_total,
                bytes_trash=healths[facts.uuid].bytes_trash,
                quarantined=healths[facts.uuid].quarantined,
            )
            for facts in volume_facts(healths, self.clock_unix_s())
        ]

    async def examine_node(
        self, request: admin_pb2.ExamineNodeRequest, call: Call
    ) -> admin_pb2.ExamineNodeResponse:
        passed = await self.passing.answer(request, admin_pb2.ExamineNodeResponse, call)
        if passed:
            return passed  # type: ignore[no-any-return]
        findings = await self.doctor.examine(scrub=request.scrub, collect=request.collect)
        return admin_pb2.ExamineNodeResponse(findings=findings)

    async def verify_chunk(
        self, request: admin_pb2.VerifyChunkRequest, call: Call
    ) -> admin_pb2.VerifyChunkResponse:
        chunk_id = request.chunk_id
        if len(chunk_id) != HASH_BYTES:
            raise McError("BAD_REQUEST", f"a chunk's id has {HASH_BYTES} bytes")
        nonce = secrets.token_bytes(NONCE_BYTES)
        others = [self._proof(site.node, chunk_id, nonce) for site in self.members.others()]
        proofs = judged(await asyncio.gather(self._own_proof(chunk_id, nonce), *others))
        proofs += [Proof(node, reason="UNREACHABLE") for node in self.members.away()]
        return admin_pb2.VerifyChunkResponse(
            copies=sorted(map(self._verdict, proofs), key=lambda one: one.node),
            replicas=await self._replicas(chunk_id),
        )

    async def _own_proof(self, chunk_id: bytes, nonce: bytes) -> Proof:
        own = self.members.own.node
        if not await self.chunks.find([chunk_id]):
            # What is damaged here already lies in quarantine, and is no copy, good or bad.
            return Proof(own, missing=True, reason="NOT_FOUND")
        try:
            done = await self.chunks.verify(chunk_id, nonce)
        except McError as bad:
            return Proof(own, missing=bad.reason == "NOT_FOUND", reason=bad.reason)
        return Proof(own, done.held.volume, good=True, proof=done.proof)

    async def _proof(self, node: NodeId, chunk_id: bytes, nonce: bytes) -> Proof:
        try:
            (proof,) = await self.fellows.prove(node, [chunk_id], nonce)
        except McError as away:
            return Proof(node, reason=away.reason)
        return proof

    async def _replicas(self, chunk_id: bytes) -> int:
        try:
            live = await self.roots.read()
        except McError:
            live = None  # The default is asked for where nobody can say otherwise.
        return (live.chunks.get(chunk_id, Policy()) if live else Policy()).replicas

    def _verdict(self, proof: Proof) -> admin_pb2.CopyVerdict:
        return admin_pb2.CopyVerdict(
            node=self.members.name(proof.node),
            id=proof.node,
            volume=proof.volume,
            state=_state(proof),
            reason=proof.reason,
        )


def _state(proof: Proof) -> "admin_pb2.CopyState.ValueType":
    if proof.good:
        return admin_pb2.COPY_STATE_GOOD
    if proof.missing:
        return admin_pb2.COPY_STATE_MISSING
    return admin_pb2.COPY_STATE_UNKNOWN if proof.unknown else admin_pb2.COPY_STATE_BAD
