"""GetChunk: a chunk goes out from any frame, never more of it than the reader gave credit for."""

import asyncio
from collections.abc import AsyncIterator

from google.protobuf.message import DecodeError

from multicloud.errors import McError
from multicloud.v1 import chunk_pb2
from nodeagent.core.chunk.layout import HASH_BYTES
from nodeagent.store.contract import Reading
from nodeagent.store.volumes import Volumes
from nodeagent.wire.answers import Answers
from nodeagent.wire.flow import first_of
from nodeagent.wire.ground import Ground
from nodeagent.wire.outlet import Purse
from nodeagent.wire.parts import GET_FRAME, frame_message


class Giving:
    """One call of GetChunk."""

    def __init__(
        self, ground: Ground, store: Volumes, reader: str, answers: Answers[bytes]
    ) -> None:
        self._ground, self._store, self._reader, self._answers = ground, store, reader, answers
        self._purse = Purse()
        self._sent_bytes = 0

    async def run(self, requests: AsyncIterator[bytes]) -> None:
        opening = await self._opening(requests)
        with (
            self._ground.budget.lease(self._reader),
            self._ground.watcher.span("chunk.give", peer=self._reader) as span,
        ):
            reading = await self._store.read(opening.chunk_id)
            try:
                await self._give(reading, opening, requests)
            finally:
                await reading.close()
                span.fact(bytes=self._sent_bytes)
                self._ground.moved("out", self._reader, self._sent_bytes)

    async def _opening(self, requests: AsyncIterator[bytes]) -> chunk_pb2.GetOpening:
        stall_s = self._ground.limits().stream_stall_s
        try:
            async with asyncio.timeout(stall_s):
                request = _parsed(await anext(requests))
        except StopAsyncIteration as error:
            raise McError("BAD_REQUEST", "the read ended before its opening") from error
        except TimeoutError as error:
            raise McError("STALLED", f"no opening came for {stall_s:g} s") from error
        if request.WhichOneof("part") != "opening":
            raise McError("BAD_REQUEST", "the read does not begin with its opening")
        if len(request.opening.chunk_id) != HASH_BYTES:
            raise McError("BAD_REQUEST", f"a chunk's id has {HASH_BYTES} bytes")
        return request.opening

    async def _give(
        self, reading: Reading, opening: chunk_pb2.GetOpening, requests: AsyncIterator[bytes]
    ) -> None:
        envelope = reading.envelope
        if opening.first_frame >= len(envelope.entries):
            said = f"chunk {envelope.chunk_id.hex()} has {len(envelope.entries)} frames"
            raise McError("BAD_REQUEST", f"{said}, and none numbered {opening.first_frame}")
        first = chunk_pb2.GetEnvelope(header=envelope.header, trailer=envelope.trailer)
        self._answers.say(chunk_pb2.GetChunkResponse(envelope=first).SerializeToString())
        try:
            async with asyncio.TaskGroup() as group:
                hearing = group.create_task(self._hear(requests))
                await self._send(reading, opening)
                hearing.cancel()
        except BaseExceptionGroup as failed:
            raise first_of(failed) from failed

    async def _hear(self, requests: AsyncIterator[bytes]) -> None:
        async for raw in requests:
            request = _parsed(raw)
            if request.WhichOneof("part") != "credit":
                raise McError("BAD_REQUEST", "after its opening a read gives credit only")
            self._purse.add(request.credit.bytes)

    async def _send(self, reading: Reading, opening: chunk_pb2.GetOpening) -> None:
        stall_s = self._ground.limits().stream_stall_s
        index, entries = opening.first_frame, reading.envelope.entries
        async for data in reading.frames(index, opening.frame_count_max or None):
            try:
                async with asyncio.timeout(stall_s):
                    await self._purse.spend(len(data))
            except TimeoutError as error:
                said = f"{self._reader} gave no credit for {stall_s:g} s"
                raise McError("STALLED", said) from error
            self._answers.say(frame_message(GET_FRAME, index, data, entries[index].leaf))
            await self._answers.read()
            self._sent_bytes += len(data)
            index += 1


def _parsed(raw: bytes) -> chunk_pb2.GetChunkRequest:
    try:
        return chunk_pb2.GetChunkRequest.FromString(raw)
    except DecodeError as error:
        raise McError("BAD_REQUEST", "the message is no GetChunkRequest") from error
