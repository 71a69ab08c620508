"""Streams that laptops have opened to this node: what is asked goes out, answers come back.

A stream is bounded by what is asked: whoever answers with more is cut off.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from multicloud.errors import McError
from multicloud.v1 import common_pb2, source_pb2, task_pb2
from nodeagent.jobs.contract import Found
from nodeagent.jobs.sources import beneath
from nodeagent.jobs.sources.parts import told
from nodeagent.jobs.sources.together import from_parts

ASKED_AT_ONCE = 8  # On one stream; each is a part at most.


@dataclass(slots=True, eq=False)
class _Asked:
    missing_bytes: int
    path: bytes = b""
    pieces: list[bytes] = field(default_factory=list)
    heard: bool = True
    several: Sequence[task_pb2.TaskInput] = ()
    listing: "asyncio.Future[task_pb2.ListingPage] | None" = None
    reading: "asyncio.Future[bytes] | None" = None
    parting: "asyncio.Future[Sequence[Found]] | None" = None

    @property
    def future(self) -> "asyncio.Future[Any]":
        found = self.reading or self.listing or self.parting
        assert found is not None
        return found

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


@dataclass(slots=True, eq=False)
class LaptopStream:
    """One stream, from its hello to its end."""

    job: str
    uri: str
    stall_s: float
    for_nodes: frozenset[str] = frozenset()
    outgoing: "asyncio.Queue[source_pb2.ServeSourceResponse | None]" = field(
        default_factory=asyncio.Queue
    )
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(ASKED_AT_ONCE))
    _asked: dict[int, _Asked] = field(default_factory=dict)
    _last: int = 0
    _ended: McError | None = None

    @property
    def busy(self) -> int:
        return len(self._asked)

    async def page(
        self, cursor: str, objects_max: int, include: Sequence[str], exclude: Sequence[str]
    ) -> task_pb2.ListingPage:
        future: asyncio.Future[task_pb2.ListingPage] = asyncio.get_running_loop().create_future()
        asked = source_pb2.ListAsked(
            cursor=cursor, page_size=objects_max, include=include, exclude=exclude
        )
        async with self._room:
            asked.request = self._number()
            said = source_pb2.ServeSourceResponse(list=asked)
            await self._answered(asked.request, _Asked(0, listing=future), said)
        return future.result()

    async def read(self, path: bytes, etag: str, offset_bytes: int, size_bytes: int) -> bytes:
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        wanted = common_pb2.ByteRange(offset_bytes=offset_bytes, size_bytes=size_bytes)
        async with self._room:
            number = self._number()
            asked = source_pb2.ReadAsked(request=number, path=path, etag=etag, range=wanted)
            said = source_pb2.ServeSourceResponse(read=asked)
            await self._answered(number, _Asked(size_bytes, path, reading=future), said)
        return future.result()

    async def read_several(self, wanted: Sequence[task_pb2.TaskInput]) -> Sequence[Found]:
        future: asyncio.Future[Sequence[Found]] = asyncio.get_running_loop().create_future()
        async with self._room:
            number = self._number()
            asked = source_pb2.ReadAsked(request=number, objects=wanted)
            said = source_pb2.ServeSourceResponse(read=asked)
            await self._answered(number, _Asked(0, several=wanted, parting=future), said)
        return future.result()

    def _number(self) -> int:
        self._last += 1
        return self._last

    async def _answered(
        self, number: int, asked: _Asked, said: source_pb2.ServeSourceResponse
    ) -> None:
        """Returns when there is an answer; a request of which nothing is heard is given up."""
        if self._ended is not None:
            raise self._ended
        self._asked[number] = asked
        self.outgoing.put_nowait(said)
        try:
            while not asked.future.done():
                asked.heard = False
                await asyncio.wait({asked.future}, timeout=self.stall_s)
                if not asked.heard and not asked.future.done():
                    why = f"the laptop of job {self.job} did not answer for {self.stall_s:g} s"
                    raise McError("SOURCE_AWAY", why)
        finally:
            del self._asked[number]
            if not asked.future.done():
                asked.future.cancel()
                self.outgoing.put_nowait(source_pb2.ServeSourceResponse(cancelled_request=number))

    # --- what the laptop says

    def heard(self, request: source_pb2.ServeSourceRequest) -> None:
        """Raises BAD_REQUEST when it says what was not asked."""
        match request.WhichOneof("part"):
            case "hello":
                self.for_nodes = frozenset(request.hello.for_nodes)
            case "answer":
                self._heard_read(request.answer)
            case "listing":
                self._heard_listing(request.listing)

    def _heard_read(self, answer: source_pb2.ReadAnswer) -> None:
        asked = self._asked.get(answer.request)
        if asked is None or asked.listing is not None:
            self._refuse_unknown(answer.request)
            return
        asked.heard = True
        if answer.reason:
            asked.fail(told(asked.path, answer.reason, answer.message))
            return
        if asked.reading is None:
            if answer.last and not asked.future.done():
                asked.future.set_result(from_parts(asked.several, answer.parts))
            return
        data = answer.data  # Each look at it is a copy.
        asked.missing_bytes -= len(data)
        if asked.missing_bytes < 0:
            raise McError("BAD_REQUEST", f"more came of {asked.path!r} than was asked for")
        asked.pieces.append(data)
        if not answer.last:
            return
        if asked.missing_bytes:
            raise McError("BAD_REQUEST", f"less came of {asked.path!r} than was asked for")
        if not asked.reading.done():
            asked.reading.set_result(data if len(asked.pieces) == 1 else b"".join(asked.pieces))

    def _heard_listing(self, answer: source_pb2.ListAnswer) -> None:
        asked = self._asked.get(answer.request)
        if asked is None or asked.listing is None:
            self._refuse_unknown(answer.request)
            return
        asked.heard = True
        if answer.reason:
            asked.fail(told(b"", answer.reason, answer.message))
            return
        page = answer.page
        for path in [*(one.path for one in page.objects), *(one.path for one in page.skipped)]:
            if not beneath.is_inside(path):
                raise McError("BAD_REQUEST", f"{path!r} is no path inside of a source")
        if answer.HasField("page") and not asked.listing.done():
            asked.listing.set_result(answer.page)

    def _refuse_unknown(self, number: int) -> None:
        """Answers to what was given up in the meantime are nobody's fault."""
        if not 0 < number <= self._last:
            raise McError("BAD_REQUEST", f"request {number} was answered and never asked")

    def end(self) -> None:
        why = f"the laptop that serves job {self.job} has gone"
        self._ended = McError("SOURCE_AWAY", why)
        for asked in self._asked.values():
            asked.fail(McError("SOURCE_AWAY", why))
        self.outgoing.put_nowait(None)


class Laptops:
    """The streams of this node, by job."""

    def __init__(self) -> None:
        self._streams: dict[str, list[LaptopStream]] = {}

    def attach(self, stream: LaptopStream) -> None:
        self._streams.setdefault(stream.job, []).append(stream)

    def detach(self, stream: LaptopStream) -> None:
        stream.end()
        left = self._streams[stream.job]
        left.remove(stream)
        if not left:
            del self._streams[stream.job]

    def stream(self, job: str, uri: str) -> LaptopStream | None:
        """The least busy one."""
        found = [one for one in self._streams.get(job, ()) if one.uri == uri]
        return min(found, key=lambda one: one.busy, default=None)

    def needed(self, job: str, uri: str) -> LaptopStream:
        found = self.stream(job, uri)
        if found is None:
            said = f"no laptop serves {uri} for job {job} through this node"
            raise McError("SOURCE_AWAY", said)
        return found

    def relays_for(self, job: str, node: str) -> bool:
        """Whether a laptop chose this node to serve that one."""
        return any(node in stream.for_nodes for stream in self._streams.get(job, ()))
