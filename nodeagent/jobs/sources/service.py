"""SourceService: laptops that serve a job, and nodes that cannot read a source themselves."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from multicloud.errors import McError
from multicloud.v1 import source_pb2, task_pb2
from nodeagent.jobs.contract import SkippedObject
from nodeagent.jobs.sources.own import OwnSources
from nodeagent.jobs.sources.parts import PART_BYTES, PIECE_BYTES
from nodeagent.jobs.sources.streams import LaptopStream
from nodeagent.jobs.sources.together import put_parts
from nodeagent.jobs.sources.uris import DIRECT, LAPTOP, parse
from nodeagent.rpc.call import Call, Caller

SILENT_S = 10.0  # A laptop says every half a second that it is there.
STREAMS_MAX = 256
SERVED_AT_ONCE = 8  # Parts that are read for others; each is in memory once.
FOR_NODES_MAX = 4096

Requests = AsyncIterator[source_pb2.ServeSourceRequest]


@dataclass(slots=True)
class SourceService:
    own: OwnSources
    may_serve: Callable[[str, str, Caller], Awaitable[None]]  # Job, URI, who; refuses by McError.
    stall_s: Callable[[], float]
    silent_s: float = SILENT_S
    _served: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(SERVED_AT_ONCE))
    _streams: int = 0

    async def serve_source(
        self, requests: Requests, call: Call
    ) -> AsyncIterator[source_pb2.ServeSourceResponse]:
        stream = await self._begun(requests, call.caller)
        # No TaskGroup: its scope must not span the yields of a generator that others drive.
        hearing = asyncio.get_running_loop().create_task(_hear(stream, requests, self.silent_s))
        self._streams += 1
        self.own.laptops.attach(stream)
        hearing.add_done_callback(lambda _: stream.outgoing.put_nowait(None))
        try:
            yield source_pb2.ServeSourceResponse()  # It is let in.
            while (said := await stream.outgoing.get()) is not None:
                yield said
            await hearing  # Raises what ended it.
        finally:
            self._streams -= 1
            self.own.laptops.detach(stream)
            hearing.cancel()

    async def _begun(self, requests: Requests, caller: Caller) -> LaptopStream:
        if self._streams >= STREAMS_MAX:
            said = f"{self._streams} laptops are served through this node already"
            raise McError("TOO_BUSY", said, retry_after_s=5.0)
        async with asyncio.timeout(self.silent_s):
            first = await anext(requests, source_pb2.ServeSourceRequest())
        hello = first.hello
        if first.WhichOneof("part") != "hello" or len(hello.for_nodes) > FOR_NODES_MAX:
            raise McError("BAD_REQUEST", "a stream of a source begins with a sound hello")
        if parse(hello.source).kind != LAPTOP:
            raise McError("BAD_REQUEST", f"{hello.source[:200]!r} is nothing that a laptop serves")
        await self.may_serve(hello.job, hello.source, caller)
        nodes = frozenset(hello.for_nodes)
        return LaptopStream(hello.job, hello.source, self.stall_s(), nodes)

    async def find_source(
        self, request: source_pb2.FindSourceRequest, call: Call
    ) -> source_pb2.FindSourceResponse:
        ref = request.source
        if parse(ref.source).kind in DIRECT:
            return await self.own.direct.found(ref)
        asking = call.caller.holder.identity.name
        return source_pb2.FindSourceResponse(
            here=self.own.has(ref), relays_for_you=self.own.laptops.relays_for(ref.job, asking)
        )

    async def list_source(
        self, request: source_pb2.ListSourceRequest, call: Call
    ) -> source_pb2.ListSourceResponse:
        source = await self.own.listed(request.source)
        page = await source.page(request.cursor, request.objects_max)
        return source_pb2.ListSourceResponse(page=page)

    async def read_source(
        self, request: source_pb2.ReadSourceRequest, call: Call
    ) -> AsyncIterator[source_pb2.ReadSourceResponse]:
        wanted = request.range
        if wanted.size_bytes > PART_BYTES:
            said = f"{wanted.size_bytes} bytes were asked for at once; {PART_BYTES} may be"
            raise McError("BAD_REQUEST", said)
        if parse(request.source.source).kind in DIRECT:
            raise McError("BAD_REQUEST", f"{request.source.source} is read by every node itself")
        source = await self.own.kept(request.source)
        asked = task_pb2.TaskInput(path=request.path, etag=request.etag)
        async with self._served:
            if request.objects:
                found = await source.read_several(request.objects)
                answer = source_pb2.ReadSourceResponse()
                put_parts(found, answer.parts)
                yield answer
                return
            try:
                data = await source.read(asked, wanted.offset_bytes, wanted.size_bytes)
            except SkippedObject as skipped:
                why = task_pb2.SkippedObject(path=skipped.path, reason=skipped.why)
                yield source_pb2.ReadSourceResponse(skipped=why, message=skipped.more)
                return
            for at in range(0, len(data), PIECE_BYTES):
                yield source_pb2.ReadSourceResponse(data=data[at : at + PIECE_BYTES])


async def _hear(stream: LaptopStream, requests: Requests, silent_s: float) -> None:
    """Until the laptop says goodbye, or nothing any more."""
    while True:
        try:
            async with asyncio.timeout(silent_s):
                request = await anext(requests, None)
        except TimeoutError as error:
            raise McError("STALLED", f"the laptop was silent for {silent_s:g} s") from error
        if request is None:
            return
        stream.heard(request)
