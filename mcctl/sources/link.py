"""One stream to one node: the node asks, the laptop answers, until one of them goes.

Nothing is ever read ahead of what was asked, and no piece is read before there is room to send it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from multicloud.dial import Connection
from multicloud.errors import McError
from multicloud.v1 import source_pb2, source_pb2_grpc, task_pb2
from nodeagent.jobs.contract import SkippedObject
from nodeagent.jobs.sources.files import FileSource
from nodeagent.jobs.sources.parts import PIECE_BYTES
from nodeagent.jobs.sources.together import put_parts

PING_S = 0.5  # The node takes silence of a few seconds for our end.
HUNG_S = 20.0  # A disk that takes longer for a piece is not vouched for any more.
ASKED_MAX = 64
STREAM_S_MAX = 86400.0


class Sending(Protocol):
    """What all streams of a laptop share."""

    @property
    def room(self) -> asyncio.Semaphore: ...
    def piece_bytes(self) -> int: ...
    async def paced(self, size_bytes: int) -> None: ...
    async def source(self, include: tuple[str, ...], exclude: tuple[str, ...]) -> FileSource: ...
    def sent(self, size_bytes: int) -> None: ...


@dataclass(slots=True, eq=False)
class _Running:
    task: "asyncio.Task[None] | None" = None
    reading_since_s: float | None = None


@dataclass(slots=True, eq=False)
class Link:
    """Made for one try; `run` returns or raises when the stream has ended."""

    sending: Sending
    hello: source_pb2.SourceHello
    on_open: Callable[[], None]
    _out: "asyncio.Queue[tuple[source_pb2.ServeSourceRequest | None, int]]" = field(
        default_factory=asyncio.Queue
    )
    _running: dict[int, _Running] = field(default_factory=dict)

    async def run(self, connection: Connection) -> None:
        stub = connection.stub(source_pb2_grpc.SourceServiceStub)
        try:
            async with asyncio.TaskGroup() as group:
                alive = group.create_task(self._stay_alive())
                asking = stub.ServeSource(self._requests(), timeout=STREAM_S_MAX)
                async for asked in asking:
                    self._take(asked, group)
                alive.cancel()
                for running in self._running.values():
                    if running.task is not None:
                        running.task.cancel()
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        finally:
            while not self._out.empty():
                if self._out.get_nowait()[1]:
                    self.sending.room.release()
            self._out.put_nowait((None, 0))  # gRPC leaves the generator of an ended call waiting.

    def serve_for(self, nodes: list[str]) -> None:
        """The nodes that this one relays for, from now on."""
        if list(self.hello.for_nodes) != nodes:
            del self.hello.for_nodes[:]
            self.hello.for_nodes.extend(nodes)
            self._say(source_pb2.ServeSourceRequest(hello=self.hello))

    async def _requests(self) -> AsyncIterator[source_pb2.ServeSourceRequest]:
        yield source_pb2.ServeSourceRequest(hello=self.hello)
        while True:
            said, held_bytes = await self._out.get()
            if said is None:
                return
            try:
                yield said
            finally:
                self._sent(held_bytes)

    def _sent(self, held_bytes: int) -> None:
        if held_bytes:
            self.sending.sent(held_bytes)
            self.sending.room.release()

    def _say(self, said: source_pb2.ServeSourceRequest | None = None, held_bytes: int = 0) -> None:
        self._out.put_nowait((said or source_pb2.ServeSourceRequest(), held_bytes))

    async def _stay_alive(self) -> None:
        """Whoever waits for its turn is told that it will come."""
        while True:
            await asyncio.sleep(PING_S)
            if not self._out.empty():
                continue  # There is enough to be heard.
            now_s = asyncio.get_running_loop().time()
            self._say()
            for number, running in self._running.items():
                since_s = running.reading_since_s
                if since_s is None or now_s - since_s < HUNG_S:
                    self._say(_answer(number, last=False))

    def _take(self, asked: source_pb2.ServeSourceResponse, group: asyncio.TaskGroup) -> None:
        kind = asked.WhichOneof("part")
        if kind is None:
            self.on_open()
            return
        if kind == "cancelled_request":
            found = self._running.pop(asked.cancelled_request, None)
            if found is not None and found.task is not None:
                found.task.cancel()
            return
        if len(self._running) >= ASKED_MAX:
            raise McError("TOO_BUSY", f"the node asks for more than {ASKED_MAX} things at once")
        running = _Running()
        if kind == "read":
            number, work = asked.read.request, self._answer_read(asked.read, running)
        else:
            number, work = asked.list.request, self._answer_list(asked.list)
        self._running[number] = running
        running.task = group.create_task(work)
        running.task.add_done_callback(lambda _: self._running.pop(number, None))

    async def _answer_read(self, asked: source_pb2.ReadAsked, running: _Running) -> None:
        number = asked.request
        wanted = task_pb2.TaskInput(path=asked.path, etag=asked.etag)
        at, end = asked.range.offset_bytes, asked.range.offset_bytes + asked.range.size_bytes
        try:
            source = await self.sending.source((), ())
            if asked.objects:
                await self._answer_several(source, asked, running)
                return
            while True:
                size = min(self.sending.piece_bytes(), PIECE_BYTES, end - at)
                await self.sending.paced(size)
                data = await self._piece(source, wanted, at, size, running)
                at += size
                said = _answer(number, last=at >= end)
                said.answer.data = data
                self._say(said, held_bytes=size)
                if at >= end:
                    return
        except SkippedObject as skipped:
            self._fail(number, skipped.why, skipped.more)
        except McError as error:
            self._fail(number, error.reason, error.message)

    async def _piece(
        self, source: FileSource, wanted: task_pb2.TaskInput, at: int, size: int, running: _Running
    ) -> bytes:
        """With room taken for it, where it has a size; whoever sends it gives that back."""
        async with self._held(size, running):
            return await source.read(wanted, at, size)

    async def _answer_several(
        self, source: FileSource, asked: source_pb2.ReadAsked, running: _Running
    ) -> None:
        size = sum(one.range.size_bytes for one in asked.objects)
        await self.sending.paced(size)
        async with self._held(size, running):
            found = await source.read_several(asked.objects)
        said = _answer(asked.request)
        put_parts(found, said.answer.parts)
        self._say(said, held_bytes=size)

    @asynccontextmanager
    async def _held(self, size: int, running: _Running) -> AsyncIterator[None]:
        """Room is taken for what has a size, and kept when it was read."""
        if size:
            await self.sending.room.acquire()
        try:
            running.reading_since_s = asyncio.get_running_loop().time()
            yield
        except BaseException:
            if size:
                self.sending.room.release()
            raise
        finally:
            running.reading_since_s = None

    def _fail(self, number: int, reason: str, message: str) -> None:
        said = _answer(number)
        said.answer.reason, said.answer.message = reason, message
        self._say(said)

    async def _answer_list(self, asked: source_pb2.ListAsked) -> None:
        said = source_pb2.ServeSourceRequest()
        answer = said.listing
        answer.request = asked.request
        try:
            source = await self.sending.source(tuple(asked.include), tuple(asked.exclude))
            answer.page.CopyFrom(await source.page(asked.cursor, asked.page_size))
        except McError as error:
            answer.reason, answer.message = error.reason, error.message
        self._say(said)


def _answer(request: int, *, last: bool = True) -> source_pb2.ServeSourceRequest:
    """To be filled where it lies: put into another message, it is copied with all its bytes."""
    said = source_pb2.ServeSourceRequest()
    said.answer.request, said.answer.last = request, last
    return said
