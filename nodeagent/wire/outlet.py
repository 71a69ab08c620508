"""A node further on as a sink: one PutChunk stream to it, with its subtree in the opening.

Whatever happens to the stream, that node and each node beyond it gets exactly one fact.
"""

import asyncio
from dataclasses import dataclass

import grpc

from coordinator.places import volume_of
from multicloud.errors import McError
from multicloud.status import decode
from multicloud.v1 import chunk_pb2
from nodeagent.telemetry import inject
from nodeagent.wire import writing
from nodeagent.wire.facts import Ledger, from_message
from nodeagent.wire.flow import Branch, first_of
from nodeagent.wire.ground import Ground, Lane
from nodeagent.wire.parts import Kind
from nodeagent.wire.tree import nodes_of

PUT = "/multicloud.v1.ChunkService/PutChunk"
Call = grpc.aio.StreamStreamCall[bytes, chunk_pb2.PutChunkResponse]


@dataclass(frozen=True, slots=True)
class Terms:
    """What stays the same at every hop of a put."""

    job: str = ""
    task: str = ""
    file_bytes_max: int = 0
    chunk_id: bytes = b""  # Where it is known before the chunk is sent.


class Purse:
    """Credit of the other side, and how long it was waited for."""

    def __init__(self) -> None:
        self._bytes = 0
        self._came = asyncio.Event()

    def add(self, size_bytes: int) -> None:
        self._bytes += size_bytes
        self._came.set()

    def covers(self, size_bytes: int) -> bool:
        return self._bytes >= size_bytes

    async def spend(self, size_bytes: int) -> None:
        while self._bytes < size_bytes:
            self._came.clear()
            await self._came.wait()
        self._bytes -= size_bytes


class Outlet:
    def __init__(
        self, ground: Ground, tree: chunk_pb2.PutTree, terms: Terms, ledger: Ledger
    ) -> None:
        self._ground, self._tree, self._terms, self._ledger = ground, tree, terms, ledger
        self._beyond = tuple(nodes_of(tree.children))
        self._purse = Purse()
        self._chunk_id = terms.chunk_id
        self._sent_bytes = 0
        self._waited_s = 0.0

    @property
    def node(self) -> str:
        return self._tree.node

    async def run(self, branch: Branch) -> None:
        watcher = self._ground.watcher
        try:
            with watcher.span("chunk.send", kind="client", peer=self.node) as span:
                try:
                    await self._pass_on(branch, span.traceparent)
                finally:
                    span.fact(bytes=self._sent_bytes, waited_s=round(self._waited_s, 6))
        except McError as error:
            self._ledger.fail_beyond(self.node, self._beyond, error)
        finally:
            self._ground.moved("out", self.node, self._sent_bytes)
            watcher.observe("mc.wire.credit.wait", self._waited_s)

    async def _pass_on(self, branch: Branch, traceparent: str) -> None:
        with self._ground.links.stream(self.node) as lane:
            await self._over(lane, branch, traceparent)
        open_ = self._ledger.open & {self.node, *self._beyond}
        if open_:
            raise McError("FAILED", f"{self.node} ended the put without a word of it")

    async def _over(self, lane: Lane, branch: Branch, traceparent: str) -> None:
        method: grpc.aio.StreamStreamMultiCallable[bytes, chunk_pb2.PutChunkResponse]
        method = lane.channel.stream_stream(
            PUT, response_deserializer=chunk_pb2.PutChunkResponse.FromString
        )
        call = method(metadata=inject())
        try:
            await self._begin(call, traceparent)
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(self._send(call, lane, branch))
                await self._listen(call)
                sending.cancel()
        except BaseExceptionGroup as failed:
            raise first_of(failed) from failed
        finally:
            call.cancel()

    async def _begin(self, call: Call, traceparent: str) -> None:
        """The other side lets the stream in, or is out of reach."""
        terms = self._terms
        opening = chunk_pb2.PutOpening(
            job=terms.job,
            task=terms.task,
            traceparent=traceparent,
            children=self._tree.children,
            sealed_size_bytes_max=terms.file_bytes_max,
            chunk_id=terms.chunk_id,
            volume=volume_of(self.node),
        )
        reach_s = self._ground.limits().reach_s
        try:
            async with asyncio.timeout(reach_s):
                request = chunk_pb2.PutChunkRequest(opening=opening)
                await writing.begin(call, request.SerializeToString())
        except TimeoutError as error:
            said = f"{self.node} let no stream in for {reach_s:g} s"
            raise McError("UNREACHABLE", said) from error

    async def _send(self, call: Call, lane: Lane, branch: Branch) -> None:
        clock_s = self._ground.clock_s
        stall_s = self._ground.limits().stream_stall_s
        usage, since_s = self._ground.usage, clock_s()
        try:
            async for part in branch:
                async with asyncio.timeout(stall_s):
                    began_s = clock_s()
                    await self._purse.spend(part.cost_bytes)
                    now_s = clock_s()
                    self._waited_s += now_s - began_s
                    usage.add(self.node, part.cost_bytes, now_s - since_s, now_s - began_s)
                    since_s = now_s
                    self._chunk_id = part.chunk_id or self._chunk_id
                    if not await writing.write(call, part.raw):
                        return  # Whoever listens to it learns why.
                self._sent_bytes += part.cost_bytes
                lane.moved(part.cost_bytes)
                if part.kind is Kind.TRAILER:
                    await writing.done(call)
                    return
        except TimeoutError as error:
            said = f"{self.node} took no part of the chunk for {stall_s:g} s"
            raise McError("STALLED", said) from error

    async def _listen(self, call: Call) -> None:
        """Until the other side has said all. It gives signs of life while it works."""
        stall_s = self._ground.limits().stream_stall_s
        while True:
            try:
                async with asyncio.timeout(stall_s):
                    said = await call.read()
            except TimeoutError as error:
                raise McError("STALLED", f"{self.node} was silent for {stall_s:g} s") from error
            except grpc.aio.AioRpcError as error:
                raise decode(error, self.node) from error
            if said is grpc.aio.EOF:
                return
            assert isinstance(said, chunk_pb2.PutChunkResponse)
            self._heard(said)

    def _heard(self, said: chunk_pb2.PutChunkResponse) -> None:
        fact = from_message(said)
        if fact is None:
            self._purse.add(said.credit.bytes)
            return
        if fact.node not in (self.node, *self._beyond):
            raise McError("FAILED", f"{self.node} spoke of {fact.node!r}, which it was not given")
        if fact.error is None and (not self._chunk_id or fact.chunk_id != self._chunk_id):
            said_of = fact.chunk_id.hex()
            raise McError("FAILED", f"{self.node} has stored {said_of!r}, not what it was sent")
        self._ledger.settle(fact)
