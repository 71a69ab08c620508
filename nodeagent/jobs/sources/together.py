"""Small reads that are wanted at the same moment go over the wire as one: a message for each of
100,000 tiny files would cost more than the files.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from multicloud.errors import McError
from multicloud.v1 import common_pb2, source_pb2, task_pb2
from nodeagent.jobs.contract import SkippedObject
from nodeagent.jobs.sources.parts import PIECE_BYTES, SKIPPED

SMALL_BYTES = 64 << 10
OBJECTS_MAX = 256
SENDS_AT_ONCE = 4  # While they are on their way, more come together.
BYTES_MAX = PIECE_BYTES // 2  # With names and reasons it is one message.

Found = bytes | SkippedObject
Send = Callable[[Sequence[task_pb2.TaskInput]], Awaitable[Sequence[Found]]]


@dataclass(slots=True)
class _Batch:
    wanted: list[task_pb2.TaskInput] = field(default_factory=list)
    size_bytes: int = 0
    found: Sequence[Found] | None = None
    error: McError | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def fits(self, size_bytes: int) -> bool:
        return len(self.wanted) < OBJECTS_MAX and self.size_bytes + size_bytes <= BYTES_MAX


@dataclass(slots=True)
class Together:
    """Whoever comes first sends for all that come until it is its turn."""

    send: Send
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(SENDS_AT_ONCE))
    _open: _Batch | None = None

    async def read(self, asked: task_pb2.TaskInput, offset_bytes: int, size_bytes: int) -> bytes:
        wanted = common_pb2.ByteRange(offset_bytes=offset_bytes, size_bytes=size_bytes)
        one = task_pb2.TaskInput(path=asked.path, etag=asked.etag, range=wanted)
        while True:
            batch, leads = self._open, False
            if batch is None or not batch.fits(size_bytes):
                batch, leads = _Batch(), True
                self._open = batch
            place = len(batch.wanted)
            batch.wanted.append(one)
            batch.size_bytes += size_bytes
            await (self._lead(batch) if leads else batch.done.wait())
            if batch.error is not None:
                raise batch.error
            if batch.found is None:
                continue  # Whoever was to send it was cancelled.
            found = batch.found[place]
            if isinstance(found, SkippedObject):
                raise found
            return found

    async def _lead(self, batch: _Batch) -> None:
        try:
            async with self._room:
                await asyncio.sleep(0)  # Whoever begins in this turn of the loop comes along.
                self._shut(batch)
                batch.found = await self.send(batch.wanted)
        except McError as error:
            batch.error = error
        finally:
            self._shut(batch)
            batch.done.set()

    def _shut(self, batch: _Batch) -> None:
        if self._open is batch:
            self._open = None


def check(wanted: Sequence[task_pb2.TaskInput]) -> None:
    """Of somebody else: as much as one may ask for in one message."""
    size_bytes = sum(one.range.size_bytes for one in wanted)
    if len(wanted) > OBJECTS_MAX or size_bytes > BYTES_MAX:
        said = f"{size_bytes} bytes of {len(wanted)} objects were asked for at once"
        raise McError("BAD_REQUEST", f"{said}; {BYTES_MAX} of {OBJECTS_MAX} may be")


def to_parts(found: Sequence[Found]) -> list[source_pb2.ReadPart]:
    return [
        source_pb2.ReadPart(reason=one.why, message=one.more)
        if isinstance(one, SkippedObject)
        else source_pb2.ReadPart(data=one)
        for one in found
    ]


def from_parts(
    wanted: Sequence[task_pb2.TaskInput], parts: Sequence[source_pb2.ReadPart]
) -> list[Found]:
    """BAD_REQUEST unless there is what was asked for, or a reason, for each."""
    if len(parts) != len(wanted):
        said = f"{len(parts)} objects came where {len(wanted)} were asked for"
        raise McError("BAD_REQUEST", said)
    return [_from_part(one, part) for one, part in zip(wanted, parts, strict=True)]


def _from_part(one: task_pb2.TaskInput, part: source_pb2.ReadPart) -> Found:
    if part.reason in SKIPPED:
        return SkippedObject(one.path, part.reason, part.message)
    if part.reason or len(part.data) != one.range.size_bytes:
        said = f"{len(part.data)} bytes of {one.path!r} came, {one.range.size_bytes} were asked for"
        raise McError("BAD_REQUEST", said)
    return part.data
