"""What a node asks others about chunks, call by call; every failure is typed."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from multicloud.errors import McError
from multicloud.status import decode
from multicloud.v1 import chunk_pb2, common_pb2
from nodeagent.telemetry import inject, traceparent
from nodeagent.wire.facts import Fact, from_message
from nodeagent.wire.ground import Links

SERVICE = "/multicloud.v1.ChunkService/"
TIMEOUT_S = 30.0
Answer = TypeVar("Answer", bound=Message)


@dataclass(slots=True)
class ChunkClient:
    links: Links

    async def have(
        self, node: str, ids: Sequence[bytes], *, job: str = "", keep_s: int = 0, volume: str = ""
    ) -> list[common_pb2.Copy]:
        """Durable and good there, pinned for the job, or promised for `keep_s`."""
        request = chunk_pb2.HaveChunksRequest(job=job, chunk_ids=ids, keep_s=keep_s, volume=volume)
        answer = await self._ask(node, "HaveChunks", request, chunk_pb2.HaveChunksResponse)
        return [copy for copy in answer.copies if copy.node == node and copy.chunk_id in ids]

    async def verify(
        self,
        node: str,
        ids: Sequence[bytes],
        nonce: bytes,
        *,
        fresh_s: int = 0,
        timeout_s: float = TIMEOUT_S,
        volume: str = "",
    ) -> list[chunk_pb2.ChunkProof]:
        """May be fewer than asked for: ask for the rest again."""
        request = chunk_pb2.VerifyChunksRequest(
            nonce=nonce, chunk_ids=ids, fresh_s=fresh_s, volume=volume
        )
        answer = await self._ask(
            node, "VerifyChunks", request, chunk_pb2.VerifyChunksResponse, timeout_s
        )
        return [proof for proof in answer.proofs if proof.chunk_id in ids]

    async def delete(
        self, node: str, ids: Sequence[bytes], why: str
    ) -> list[chunk_pb2.DeletedChunk]:
        request = chunk_pb2.DeleteChunksRequest(chunk_ids=ids, why=why)
        answer = await self._ask(node, "DeleteChunks", request, chunk_pb2.DeleteChunksResponse)
        return list(answer.results)

    async def name(
        self, node: str, ids: Sequence[bytes], *, anew: bool, witness: bool = False
    ) -> chunk_pb2.NameChunksResponse:
        """Which of them a dataset names, by a node that has keys."""
        request = chunk_pb2.NameChunksRequest(chunk_ids=ids, anew=anew, witness=witness)
        return await self._ask(node, "NameChunks", request, chunk_pb2.NameChunksResponse)

    async def unpin(self, node: str, job: str) -> int:
        request = chunk_pb2.UnpinChunksRequest(job=job)
        answer = await self._ask(node, "UnpinChunks", request, chunk_pb2.UnpinChunksResponse)
        return answer.unpinned

    async def push(
        self, node: str, chunk_id: bytes, children: Sequence[chunk_pb2.PutTree], job: str = ""
    ) -> AsyncIterator[Fact]:
        """Asks a holder to send its chunk along these trees."""
        request = chunk_pb2.PushChunkRequest(
            chunk_id=chunk_id, job=job, traceparent=traceparent(), children=children
        )
        call = self.links.bulk(node).unary_stream(
            f"{SERVICE}PushChunk",
            request_serializer=chunk_pb2.PushChunkRequest.SerializeToString,
            response_deserializer=chunk_pb2.PushChunkResponse.FromString,
        )(request, metadata=inject())
        try:
            async for said in call:
                fact = from_message(said)
                if fact:
                    yield fact
        except grpc.aio.AioRpcError as error:
            raise decode(error, node) from error
        finally:
            call.cancel()

    async def _ask(
        self,
        node: str,
        method: str,
        request: Message,
        answer: type[Answer],
        timeout_s: float = TIMEOUT_S,
    ) -> Answer:
        call = self.links.bulk(node).unary_unary(
            f"{SERVICE}{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        try:
            found: Answer | None = await call(request, timeout=timeout_s, metadata=inject())
        except grpc.aio.AioRpcError as error:
            raise decode(error, node) from error
        if found is None:  # gRPC's word for a call that went well and brought nothing.
            raise McError("FAILED", f"{node} did not answer {method}")
        return found
