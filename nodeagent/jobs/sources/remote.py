"""A source that another node reads: its own folder, or a laptop's over a stream that it has."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import grpc

from multicloud.errors import McError
from multicloud.status import decode
from multicloud.v1 import common_pb2, source_pb2, source_pb2_grpc, task_pb2
from nodeagent.jobs.contract import Found
from nodeagent.jobs.sources.parts import OUT_OF_REACH, in_parts, told
from nodeagent.jobs.sources.together import from_parts
from nodeagent.jobs.sources.world import World
from nodeagent.wire.ground import Links

FIND_S = 5.0
PAGE_S = 60.0
PART_S = 120.0
CALLS_AT_ONCE = 16  # Of parts: a connection has room for 64 calls of everybody's.


@dataclass(slots=True)
class RemoteSource:
    """Promises what `contract.Source` says. SOURCE_AWAY when that node cannot be reached."""

    world: World
    links: Links
    node: str
    ref: source_pb2.SourceRef
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CALLS_AT_ONCE))

    async def find(self) -> source_pb2.FindSourceResponse:
        """Whether it can read it. Raises what that node has against it."""
        try:
            request = source_pb2.FindSourceRequest(source=self.ref)
            return await _stub(self.links.bulk(self.node)).FindSource(request, timeout=FIND_S)
        except (grpc.aio.AioRpcError, McError) as error:
            raise self._named(error) from error

    async def page(self, cursor: str, objects_max: int) -> task_pb2.ListingPage:
        request = source_pb2.ListSourceRequest(
            source=self.ref, cursor=cursor, objects_max=objects_max
        )
        try:
            stub = _stub(self.links.bulk(self.node))
            answer = await stub.ListSource(request, timeout=PAGE_S)
        except (grpc.aio.AioRpcError, McError) as error:
            raise self._named(error) from error
        return answer.page

    async def read(self, asked: task_pb2.TaskInput, offset_bytes: int, size_bytes: int) -> bytes:
        async def part(offset_bytes: int, size_bytes: int) -> bytes:
            return await self._part(asked, offset_bytes, size_bytes)

        return await in_parts(part, offset_bytes, size_bytes)

    async def _part(self, asked: task_pb2.TaskInput, offset_bytes: int, size_bytes: int) -> bytes:
        wanted = common_pb2.ByteRange(offset_bytes=offset_bytes, size_bytes=size_bytes)
        request = source_pb2.ReadSourceRequest(
            source=self.ref, path=asked.path, etag=asked.etag, range=wanted
        )
        pieces: list[bytes] = []
        try:
            async with self._room:
                with self.links.stream(self.node) as lane:
                    call = _stub(lane.channel).ReadSource(request, timeout=PART_S)
                    try:
                        async for answer in call:
                            if answer.HasField("skipped"):
                                raise told(asked.path, answer.skipped.reason, answer.message)
                            lane.moved(len(answer.data))
                            pieces.append(answer.data)
                    finally:
                        call.cancel()
        except (grpc.aio.AioRpcError, McError) as error:
            raise self._named(error) from error
        data = b"".join(pieces)
        if len(data) != size_bytes:
            said = f"{self.world.name_of(self.node)} sent {len(data)} bytes instead of {size_bytes}"
            raise McError("INTERNAL", said)
        return data

    async def read_several(self, wanted: Sequence[task_pb2.TaskInput]) -> Sequence[Found]:
        request = source_pb2.ReadSourceRequest(source=self.ref, objects=wanted)
        parts: list[source_pb2.ReadPart] = []
        try:
            with self.links.stream(self.node) as lane:
                call = _stub(lane.channel).ReadSource(request, timeout=PART_S)
                try:
                    async for answer in call:
                        parts += answer.parts
                finally:
                    call.cancel()
                lane.moved(sum(len(part.data) for part in parts))
        except (grpc.aio.AioRpcError, McError) as error:
            raise self._named(error) from error
        return from_parts(wanted, parts)

    async def close(self) -> None:
        """The other node forgets it by itself."""

    def _named(self, error: grpc.aio.AioRpcError | McError) -> McError:
        name = self.world.name_of(self.node)
        known = error if isinstance(error, McError) else decode(error, name)
        if known.reason not in OUT_OF_REACH:
            return known
        said = f"{name}, which reads the source, is away: {known.message}"
        return McError("SOURCE_AWAY", said, next="start or reach that node; the job waits")


def _stub(channel: grpc.aio.Channel) -> "source_pb2_grpc.SourceServiceAsyncStub":
    return source_pb2_grpc.SourceServiceStub(channel)
