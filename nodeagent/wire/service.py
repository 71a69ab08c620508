"""ChunkService: sealed chunks come in, go out, are looked for, proven, pushed and given up."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from multicloud.errors import McError
from multicloud.v1 import chunk_pb2, common_pb2
from nodeagent.core.chunk.layout import HASH_BYTES
from nodeagent.rpc.call import Call
from nodeagent.rpc.services import raw
from nodeagent.store.contract import Held, Pin, Store
from nodeagent.store.volumes import Volumes
from nodeagent.wire.answers import Answers
from nodeagent.wire.facts import Ledger, to_push_message
from nodeagent.wire.get import Giving
from nodeagent.wire.ground import Ground
from nodeagent.wire.outlet import Terms
from nodeagent.wire.push import push
from nodeagent.wire.receive import Receiving, job_of, promise
from nodeagent.wire.tree import check_trees

NONCE_BYTES_MIN, NONCE_BYTES_MAX = 16, 64
WHY_CHARS_MAX = 256
KEEP_S_MAX = 7 * 24 * 3600  # No promise to a peer lasts longer; it may be asked for again.
ALIVE_SHARE = 3  # Signs of life in the time after which silence is a stall.
DEADLINE_SHARE_LEFT = 0.2  # Of a deadline: no further chunk is read from the disk.


@dataclass(slots=True)
class ChunkService:
    ground: Ground
    store: Volumes

    @raw
    async def put_chunk(self, requests: AsyncIterator[bytes], call: Call) -> AsyncIterator[bytes]:
        quiet_s = self.ground.limits().stream_stall_s / ALIVE_SHARE
        answers: Answers[chunk_pb2.PutChunkResponse] = Answers(_alive, quiet_s)
        receiving = Receiving(self.ground, self.store, _peer(call), answers)
        async for answer in answers.of(lambda: receiving.run(requests)):
            yield answer.SerializeToString()

    @raw
    async def get_chunk(self, requests: AsyncIterator[bytes], call: Call) -> AsyncIterator[bytes]:
        answers: Answers[bytes] = Answers()
        giving = Giving(self.ground, self.store, _peer(call), answers)
        async for answer in answers.of(lambda: giving.run(requests)):
            yield answer

    async def push_chunk(
        self, request: chunk_pb2.PushChunkRequest, call: Call
    ) -> AsyncIterator[chunk_pb2.PushChunkResponse]:
        answers: Answers[chunk_pb2.PushChunkResponse] = Answers()
        (chunk_id,) = self._ids([request.chunk_id])
        terms = Terms(job_of(request.job) if request.job else "")
        # The one who asks may be the one who is to get it: that is how a node mends itself.
        nodes = check_trees(request.children, self.ground.node)
        ledger = Ledger(nodes, lambda fact: answers.say(to_push_message(fact)))

        async def work() -> None:
            with (
                self.ground.budget.lease(_peer(call)),
                self.ground.watcher.span("chunk.push", peer=_peer(call)),
            ):
                await push(self.ground, self.store, chunk_id, terms, request.children, ledger)

        async for answer in answers.of(work):
            yield answer

    async def have_chunks(
        self, request: chunk_pb2.HaveChunksRequest, call: Call
    ) -> chunk_pb2.HaveChunksResponse:
        ids = self._ids(request.chunk_ids)
        if request.keep_s > KEEP_S_MAX:
            raise McError("BAD_REQUEST", f"a promise lasts at most {KEEP_S_MAX} s")
        if request.keep_s:
            pin = promise(_peer(call), self.ground.clock_unix_s() + request.keep_s)
        else:
            pin = Pin(job_of(request.job))
        found = await self.store.named(request.volume).have(ids, pin)
        return chunk_pb2.HaveChunksResponse(copies=[self._copy(held) for held in found])

    async def verify_chunks(
        self, request: chunk_pb2.VerifyChunksRequest, call: Call
    ) -> chunk_pb2.VerifyChunksResponse:
        ids = self._ids(request.chunk_ids)
        if not NONCE_BYTES_MIN <= len(request.nonce) <= NONCE_BYTES_MAX:
            said = f"a nonce has {NONCE_BYTES_MIN} to {NONCE_BYTES_MAX} bytes"
            raise McError("BAD_REQUEST", said)
        stop_s = call.remaining_s() * DEADLINE_SHARE_LEFT
        store = self.store.named(request.volume)
        # 0: no check is fresh enough.
        since_unix_s = self.ground.clock_unix_s() - request.fresh_s if request.fresh_s else None
        proofs: list[chunk_pb2.ChunkProof] = []
        for chunk_id in ids:
            if proofs and call.remaining_s() < stop_s:
                break  # Better some proofs in time than none; the caller asks for the rest again.
            proofs.append(await _proof(store, chunk_id, request.nonce, since_unix_s))
        return chunk_pb2.VerifyChunksResponse(proofs=proofs)

    async def delete_chunks(
        self, request: chunk_pb2.DeleteChunksRequest, call: Call
    ) -> chunk_pb2.DeleteChunksResponse:
        why = request.why[:WHY_CHARS_MAX] or f"{_peer(call)} asked for it"
        results = [await self._trashed(chunk_id, why) for chunk_id in self._ids(request.chunk_ids)]
        return chunk_pb2.DeleteChunksResponse(results=results)

    async def _trashed(self, chunk_id: bytes, why: str) -> chunk_pb2.DeletedChunk:
        try:
            trashed = await self.store.trash(chunk_id, why)
        except McError as error:
            return chunk_pb2.DeletedChunk(chunk_id=chunk_id, reason=error.reason)
        return chunk_pb2.DeletedChunk(
            chunk_id=chunk_id, trashed=trashed, reason="" if trashed else "PINNED"
        )

    async def unpin_chunks(
        self, request: chunk_pb2.UnpinChunksRequest, call: Call
    ) -> chunk_pb2.UnpinChunksResponse:
        unpinned = await self.store.unpin(job_of(request.job))
        return chunk_pb2.UnpinChunksResponse(unpinned=unpinned)

    def _ids(self, ids: Sequence[bytes]) -> list[bytes]:
        most = self.ground.limits().chunks_per_call_max
        if len(ids) > most:
            said = f"{len(ids)} chunks are named; one call may name {most}"
            raise McError("TOO_LARGE", said, next="ask in several calls")
        if any(len(chunk_id) != HASH_BYTES for chunk_id in ids):
            raise McError("BAD_REQUEST", f"a chunk's id has {HASH_BYTES} bytes")
        return list(ids)

    def _copy(self, held: Held) -> common_pb2.Copy:
        return common_pb2.Copy(chunk_id=held.chunk_id, node=self.ground.node, volume=held.volume)


def _peer(call: Call) -> str:
    return call.caller.holder.identity.name


def _alive() -> chunk_pb2.PutChunkResponse:
    return chunk_pb2.PutChunkResponse(credit=chunk_pb2.Credit())


async def _proof(
    store: Store | Volumes, chunk_id: bytes, nonce: bytes, since_unix_s: float | None
) -> chunk_pb2.ChunkProof:
    here = await store.find([chunk_id])
    if not here:  # What lies in the trash stays there: to ask is not to need.
        return chunk_pb2.ChunkProof(chunk_id=chunk_id, reason="NOT_FOUND")
    for held in here:
        if since_unix_s is not None and held.verified_unix_s >= since_unix_s:
            return chunk_pb2.ChunkProof(chunk_id=chunk_id, good=True, volume=held.volume)
    try:
        done = await store.verify(chunk_id, nonce)
    except McError as error:
        return chunk_pb2.ChunkProof(chunk_id=chunk_id, reason=error.reason)
    return chunk_pb2.ChunkProof(
        chunk_id=chunk_id, good=True, proof=done.proof, volume=done.held.volume
    )
