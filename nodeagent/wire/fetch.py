"""Reading a chunk of another node: its envelope is checked against the id before any frame, each
frame against its leaf, and no more is under way than the reader has room for.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import grpc

from multicloud.errors import McError
from multicloud.status import decode
from multicloud.v1 import chunk_pb2
from nodeagent.core.chunk.envelope import Envelope, damage, parse
from nodeagent.core.window import Window
from nodeagent.telemetry import inject, traceparent
from nodeagent.wire.budget import Lease
from nodeagent.wire.ground import Ground, Lane

GET = "/multicloud.v1.ChunkService/GetChunk"
Call = grpc.aio.StreamStreamCall[chunk_pb2.GetChunkRequest, chunk_pb2.GetChunkResponse]


@dataclass(slots=True)
class Fetching:
    """An open read. `frames` may be asked for once."""

    envelope: Envelope
    first_frame: int
    count: int
    _ground: Ground
    _node: str
    _call: Call
    _lane: Lane
    _lease: Lease
    _window: Window
    bytes_read: int = field(default=0)
    _left_bytes: int = field(init=False)  # What no credit was given for yet.

    def __post_init__(self) -> None:
        wanted = self.envelope.entries[self.first_frame : self.first_frame + self.count]
        self._left_bytes = sum(entry.sealed_bytes for entry in wanted)

    async def frames(self) -> AsyncIterator[bytes]:
        clock_s, window = self._ground.clock_s, self._window
        await self._grant(window.open(clock_s()))
        for index in range(self.first_frame, self.first_frame + self.count):
            answer = await _read(self._ground, self._call, self._node)
            if answer is None or answer.WhichOneof("part") != "frame":
                raise damage(f"{self._node} ended it before frame {index}", self.envelope)
            if answer.frame.index != index:
                said = f"{self._node} sent frame {answer.frame.index} where {index} was due"
                raise damage(said, self.envelope)
            data = answer.frame.data
            window.arrive(len(data), clock_s())
            self.envelope.check_frame(index, data)
            self.bytes_read += len(data)
            self._lane.moved(len(data))
            yield data
            window.take(len(data))
            wanted = window.wanted_bytes(clock_s())
            if wanted > window.size_bytes:
                window.size_bytes = self._lease.grow(wanted)
            await self._grant(window.grant())
        self._lease.learn(window.round_s, window.size_bytes)

    async def _grant(self, credit_bytes: int) -> None:
        """Never for more than is to come: a write to a call that the other side has ended well
        would end it here as a failure, with frames still unread."""
        credit_bytes = min(credit_bytes, self._left_bytes)
        self._left_bytes -= credit_bytes
        if credit_bytes:
            credit = chunk_pb2.Credit(bytes=credit_bytes)
            # A call that is over has sent all, or failed: the next read tells.
            with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await self._call.write(chunk_pb2.GetChunkRequest(credit=credit))


@asynccontextmanager
async def fetch(
    ground: Ground, node: str, chunk_id: bytes, first_frame: int = 0, count: int = 0
) -> AsyncIterator[Fetching]:
    """`count` frames from that one on, 0: to the end. DAMAGE when the node sends anything else."""
    with (
        ground.budget.lease(node) as lease,
        ground.links.stream(node) as lane,
        ground.watcher.span("chunk.fetch", peer=node) as span,
    ):
        method: grpc.aio.StreamStreamMultiCallable[
            chunk_pb2.GetChunkRequest, chunk_pb2.GetChunkResponse
        ] = lane.channel.stream_stream(
            GET,
            request_serializer=_serialized,
            response_deserializer=chunk_pb2.GetChunkResponse.FromString,
        )
        call = method(metadata=inject())
        fetching = None
        try:
            opening = chunk_pb2.GetOpening(
                chunk_id=chunk_id,
                first_frame=first_frame,
                frame_count_max=count,
                traceparent=traceparent(),
            )
            envelope = await _opened(ground, call, node, opening)
            left = len(envelope.entries) - first_frame
            window = Window(lease.size_bytes, lease.pace.round_s)
            fetching = Fetching(
                envelope,
                first_frame,
                min(count or left, left),
                ground,
                node,
                call,
                lane,
                lease,
                window,
            )
            yield fetching
        finally:
            call.cancel()
            read_bytes = fetching.bytes_read if fetching else 0
            span.fact(bytes=read_bytes)
            ground.moved("in", node, read_bytes)


async def _opened(ground: Ground, call: Call, node: str, opening: chunk_pb2.GetOpening) -> Envelope:
    reach_s = ground.limits().reach_s
    try:
        async with asyncio.timeout(reach_s):
            await call.write(chunk_pb2.GetChunkRequest(opening=opening))
            await call.initial_metadata()
    except TimeoutError as error:
        raise McError("UNREACHABLE", f"{node} let no stream in for {reach_s:g} s") from error
    except grpc.aio.AioRpcError as error:
        raise decode(error, node) from error
    answer = await _read(ground, call, node)
    if answer is None or answer.WhichOneof("part") != "envelope":
        raise damage(f"{node} did not begin with its envelope")
    return parse(answer.envelope.header, answer.envelope.trailer, opening.chunk_id)


def _serialized(request: chunk_pb2.GetChunkRequest) -> bytes:
    return request.SerializeToString()


async def _read(ground: Ground, call: Call, node: str) -> chunk_pb2.GetChunkResponse | None:
    stall_s = ground.limits().stream_stall_s
    try:
        async with asyncio.timeout(stall_s):
            answer = await call.read()
    except TimeoutError as error:
        raise McError("STALLED", f"{node} sent nothing for {stall_s:g} s") from error
    except grpc.aio.AioRpcError as error:
        raise decode(error, node) from error
    return answer if isinstance(answer, chunk_pb2.GetChunkResponse) else None
