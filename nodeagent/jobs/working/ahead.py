"""Reads of one task, several at once and ahead of who uses them, given out in their order. Small
objects that follow each other are read in one go.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol, TypeVar

from multicloud.errors import McError, Retry
from multicloud.v1 import common_pb2, task_pb2
from nodeagent.core.backoff import delay_s
from nodeagent.core.breaker import RetryBudget
from nodeagent.jobs.contract import (
    CHANGED,
    SEVERAL_BYTES_MAX,
    SEVERAL_MAX,
    SMALL_BYTES,
    Found,
    SkippedObject,
)

PIECE_BYTES = 1 << 20
AHEAD_BYTES = 4 << 20
AT_ONCE_MAX = 16  # Reads, each of a piece or of several small objects.
TRIES_MAX = 5
BACKOFF_S, BACKOFF_S_MAX = 0.1, 5.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Piece:
    """A range to be read, of the object with that place among the task's inputs."""

    input: int
    offset_bytes: int
    size_bytes: int
    last: bool  # Of what the task reads of it.


@dataclass(frozen=True, slots=True)
class Skip:
    """Instead of bytes: why the object cannot be taken in."""

    why: str


def pieces_of(place: int, asked: task_pb2.TaskInput) -> Iterable[Piece]:
    """At least one: an empty object is looked at, too."""
    begin, end = asked.range.offset_bytes, asked.range.offset_bytes + asked.range.size_bytes
    while True:
        size = min(PIECE_BYTES, end - begin)
        yield Piece(place, begin, size, begin + size == end)
        begin += size
        if begin == end:
            return


def batches(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Each is read in one go: a large piece, or small ones that follow each other."""
    batch: list[Piece] = []
    batch_bytes = 0
    for piece in pieces:
        small = piece.size_bytes <= SMALL_BYTES
        fits = len(batch) < SEVERAL_MAX and batch_bytes + piece.size_bytes <= SEVERAL_BYTES_MAX
        if batch and not (small and fits):
            yield batch
            batch, batch_bytes = [], 0
        batch.append(piece)
        batch_bytes += piece.size_bytes
        if not small:
            yield batch
            batch, batch_bytes = [], 0
    if batch:
        yield batch


class Source(Protocol):
    """What `contract.Source` says of reading."""

    async def read(
        self, asked: task_pb2.TaskInput, offset_bytes: int, size_bytes: int
    ) -> bytes: ...

    async def read_several(self, wanted: Sequence[task_pb2.TaskInput]) -> Sequence[Found] | None:
        """None: it can only be read one by one."""
        ...


@dataclass(slots=True)
class Reading:
    """Reads of a job's source: tried again where that may help, within a budget."""

    source: Source
    budget: RetryBudget = field(default_factory=RetryBudget)
    rng: Random = field(default_factory=Random)
    waits: str = ""  # Why a read is being tried again, or not made yet.
    take: Callable[[int], Awaitable[None]] | None = None  # Waits until so many bytes may be read.

    async def read(self, asked: task_pb2.TaskInput, offset_bytes: int, size_bytes: int) -> bytes:
        """SkippedObject, or an McError: SOURCE_AWAY when nobody can read it now."""
        await self._paced(size_bytes)
        data = await self._patiently(lambda: self.source.read(asked, offset_bytes, size_bytes))
        short = _short(asked.path, data, offset_bytes, size_bytes)
        if short is not None:
            raise short
        return data

    async def read_several(self, wanted: Sequence[task_pb2.TaskInput]) -> list[Found]:
        """Small ranges, each with its bytes or why that object is skipped."""
        found = None
        if len(wanted) > 1:
            await self._paced(sum(asked.range.size_bytes for asked in wanted))
            found = await self._patiently(lambda: self.source.read_several(wanted))
        if found is None:
            return await asyncio.gather(*map(self._found, wanted))
        return [
            one
            if isinstance(one, SkippedObject)
            else _short(asked.path, one, asked.range.offset_bytes, asked.range.size_bytes) or one
            for asked, one in zip(wanted, found, strict=True)
        ]

    async def _paced(self, size_bytes: int) -> None:
        if self.take is not None:
            await self.take(size_bytes)

    async def _found(self, asked: task_pb2.TaskInput) -> Found:
        try:
            return await self.read(asked, asked.range.offset_bytes, asked.range.size_bytes)
        except SkippedObject as skipped:
            return skipped

    async def _patiently(self, read: Callable[[], Awaitable[T]]) -> T:
        tries = 0
        while True:
            try:
                found = await read()
            except McError as error:
                tries += 1
                helps = error.row.retry is not Retry.NEVER and error.reason != "SOURCE_AWAY"
                if not helps or tries >= TRIES_MAX or not self.budget.take():
                    raise
                self.waits = f"the source is read again: {error.message}"
                pause_s = delay_s(tries, self.rng, base_s=BACKOFF_S, delay_s_max=BACKOFF_S_MAX)
                await asyncio.sleep(max(pause_s, error.retry_after_s or 0.0))
                continue
            self.budget.succeeded()
            self.waits = ""
            return found


def _short(path: bytes, data: bytes, offset_bytes: int, size_bytes: int) -> SkippedObject | None:
    if len(data) == size_bytes:
        return None
    said = f"{len(data)} of {size_bytes} bytes at {offset_bytes}"
    return SkippedObject(path, CHANGED, said)


def ranged(asked: task_pb2.TaskInput, offset_bytes: int, size_bytes: int) -> task_pb2.TaskInput:
    """What a read needs to know of an input."""
    wanted = common_pb2.ByteRange(offset_bytes=offset_bytes, size_bytes=size_bytes)
    return task_pb2.TaskInput(path=asked.path, etag=asked.etag, range=wanted)


Data = bytes | Skip
Read = Callable[[Sequence[Piece]], Awaitable[Sequence[Data]]]


async def ahead(
    group: asyncio.TaskGroup, pieces: Iterable[Piece], read: Read
) -> AsyncGenerator[tuple[Piece, Data], None]:
    """In the order of the pieces. The reads live in the group: none may span yields."""
    left = batches(pieces)
    under_way: deque[tuple[list[Piece], asyncio.Task[Sequence[Data] | McError]]] = deque()
    ahead_bytes = 0
    more = True
    try:
        while True:
            while more and len(under_way) < AT_ONCE_MAX and ahead_bytes < AHEAD_BYTES:
                batch = next(left, None)
                if batch is None:
                    more = False
                    break
                under_way.append((batch, group.create_task(_outcome(read, batch))))
                ahead_bytes += _bytes(batch)
            if not under_way:
                return
            batch, task = under_way.popleft()
            found = await task
            ahead_bytes -= _bytes(batch)
            if isinstance(found, McError):
                raise found
            for each in zip(batch, found, strict=True):
                yield each
    finally:
        for _, task in under_way:
            task.cancel()


def _bytes(batch: Iterable[Piece]) -> int:
    return sum(piece.size_bytes for piece in batch)


async def _outcome(read: Read, batch: Sequence[Piece]) -> Sequence[Data] | McError:
    """A failed read is told where its bytes are due; it ends nobody else."""
    try:
        return await read(batch)
    except McError as error:
        return error
