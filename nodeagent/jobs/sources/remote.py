"""A source that another node reads: its own folder, or a laptop's over a stream that it has."""

from dataclasses import dataclass

import grpc

from multicloud.errors import McError
from multicloud.status import decode
from multicloud.v1 import common_pb2, source_pb2, source_pb2_grpc, task_pb2
from nodeagent.jobs.sources.parts import OUT_OF_REACH, in_parts, told
from nodeagent.jobs.sources.world import World

FIND_S = 5.0
PAGE_S = 60.0
PART_S = 120.0


@dataclass(slots=True)
class RemoteSource:
    """Promises what `contract.Source` says. SOURCE_AWAY when that node cannot be reached."""

    world: World
    node: str
    ref: source_pb2.SourceRef

    async def find(self) -> source_pb2.FindSourceResponse:
        """Whether it can read it. Raises what that node has against it."""
        try:
            request = source_pb2.FindSourceRequest(source=self.ref)
            return await self._stub().FindSource(request, timeout=FIND_S)
        except grpc.aio.AioRpcError as error:
            raise self._away(error) from error

    async def page(self, cursor: str, objects_max: int) -> task_pb2.ListingPage:
        request = source_pb2.ListSourceRequest(
            source=self.ref, cursor=cursor, objects_max=objects_max
        )
        try:
            answer = await self._stub().ListSource(request, timeout=PAGE_S)
        except grpc.aio.AioRpcError as error:
            raise self._away(error) from error
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
        left_bytes = size_bytes
        call = self._stub().ReadSource(request, timeout=PART_S)
        try:
            async for answer in call:
                if answer.HasField("skipped"):
                    raise told(asked.path, answer.skipped.reason, answer.message)
                left_bytes -= len(answer.data)
                if left_bytes < 0:
                    break
                pieces.append(answer.data)
        except grpc.aio.AioRpcError as error:
            raise self._away(error) from error
        finally:
            call.cancel()
        if left_bytes:
            said = f"{self.world.name_of(self.node)} sent another number of bytes than asked"
            raise McError("INTERNAL", said)
        return b"".join(pieces)

    async def close(self) -> None:
        """The other node forgets it by itself."""

    def _stub(self) -> "source_pb2_grpc.SourceServiceAsyncStub":
        try:
            return source_pb2_grpc.SourceServiceStub(self.world.channel(self.node))
        except McError as error:
            raise self._named(error) from error

    def _away(self, error: grpc.aio.AioRpcError) -> McError:
        return self._named(decode(error, self.world.name_of(self.node)))

    def _named(self, error: McError) -> McError:
        if error.reason not in OUT_OF_REACH:
            return error
        said = f"{self.world.name_of(self.node)}, which reads the source, is away: {error.message}"
        return McError("SOURCE_AWAY", said, next="start or reach that node; the job waits")
