"""A sender of chunks made by hand: it can do right, and anything else."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from multicloud.channel import Credentials
from multicloud.errors import McError
from multicloud.status import decode
from multicloud.v1 import chunk_pb2
from nodeagent.wire import writing
from nodeagent.wire.facts import Fact, from_message
from nodeagent.wire.flow import first_of
from nodeagent.wire.parts import Part, Parts, frame_part, header_part, trailer_part
from tests.support.chunks import Chunk
from tests.support.nodes import Running, channel

PUT = "/multicloud.v1.ChunkService/PutChunk"
ROOM = 1 << 24
WITHIN_S = 20.0


def tree(node: str, *children: chunk_pb2.PutTree) -> chunk_pb2.PutTree:
    return chunk_pb2.PutTree(node=node, children=children)


def opening(*children: chunk_pb2.PutTree, **more: Any) -> bytes:
    said = {"job": "job-1", "task": "t", "sealed_size_bytes_max": ROOM, **more}
    made = chunk_pb2.PutOpening(children=children, **said)
    return chunk_pb2.PutChunkRequest(opening=made).SerializeToString()


def parts_of(chunk: Chunk) -> list[Part]:
    envelope = chunk.envelope()
    frames = [
        frame_part(index, data, envelope.entries[index].leaf)
        for index, data in enumerate(chunk.frames)
    ]
    return [header_part(chunk.header), *frames, trailer_part(envelope)]


async def stream_of(parts: Iterable[Part]) -> Parts:
    for part in parts:
        yield part


@dataclass
class Sending:
    """One open PutChunk: what was said back so far, and the credit that is left."""

    call: Any
    facts: list[Fact] = field(default_factory=list)
    credit: int = 0
    credits: int = 0  # All that were ever given.
    error: McError | None = None
    ended: bool = False
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def hear(self) -> None:
        try:
            while (said := await self.call.read()) is not grpc.aio.EOF:
                fact = from_message(said)
                if fact:
                    self.facts.append(fact)
                self.credit += said.credit.bytes
                self.credits += said.credit.bytes
                self._news.set()
        except grpc.aio.AioRpcError as error:
            self.error = decode(error)
        finally:
            self.ended = True
            self._news.set()

    async def until(self, fact: Any) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not fact():
                self._news.clear()
                await self._news.wait()

    async def send(self, raw: bytes, cost: int = 0) -> None:
        """Waits for the credit that it costs; a call that is over takes nothing more."""
        await self.until(lambda: self.credit >= cost or self.ended)
        self.credit -= cost
        await writing.write(self.call, raw)

    async def part(self, part: Part) -> None:
        await self.send(part.raw, part.cost_bytes)

    async def end(self) -> list[Fact]:
        """All facts; raises the error that the call ended with."""
        if not self.ended:
            await writing.done(self.call)
        return await self.outcome()

    async def outcome(self) -> list[Fact]:
        await self.until(lambda: self.ended)
        if self.error:
            raise self.error
        return self.facts


@asynccontextmanager
async def sending(node: Running, who: Credentials) -> AsyncIterator[Sending]:
    async with channel(node, who) as opened, sending_on(opened) as one:
        yield one


@asynccontextmanager
async def sending_on(opened: grpc.aio.Channel) -> AsyncIterator[Sending]:
    method: grpc.aio.StreamStreamMultiCallable[bytes, chunk_pb2.PutChunkResponse]
    method = opened.stream_stream(PUT, response_deserializer=chunk_pb2.PutChunkResponse.FromString)
    one = Sending(method())
    await one.call.wait_for_connection()
    try:
        async with asyncio.TaskGroup() as group:
            hearing = group.create_task(one.hear())
            try:
                yield one
            finally:
                one.call.cancel()
                hearing.cancel()
    except BaseExceptionGroup as failed:
        raise first_of(failed) from failed


async def put(
    node: Running, who: Credentials, chunk: Chunk, *children: chunk_pb2.PutTree, **more: Any
) -> list[Fact]:
    async with sending(node, who) as one:
        await one.send(opening(*children, **more))
        for part in parts_of(chunk):
            await one.part(part)
        return await one.end()


async def put_raw(opened: grpc.aio.Channel, messages: Sequence[bytes]) -> list[Fact]:
    """These very messages, with no thought for credit."""
    async with sending_on(opened) as one:
        for message in messages:
            await one.send(message)
        return await one.end()
