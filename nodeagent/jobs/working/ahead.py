"""Reads of one task, several at once and ahead of who uses them, given out in their order."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from random import Random

from multicloud.errors import McError, Retry
from multicloud.v1 import task_pb2
from nodeagent.core.backoff import delay_s
from nodeagent.core.breaker import RetryBudget
from nodeagent.jobs.contract import CHANGED, SkippedObject, Source

PIECE_BYTES = 1 << 20
AHEAD_BYTES = 4 << 20
AT_ONCE_MAX = 256  # Small files: a source sends many together, when many are wanted.
TRIES_MAX = 5
BACKOFF_S, BACKOFF_S_MAX = 0.1, 5.0


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


@dataclass(slots=True)
class Reading:
    """Reads of a job's source: tried again where that may help, within a budget."""

    source: Source
    budget: RetryBudget = field(default_factory=RetryBudget)
    rng: Random = field(default_factory=Random)
    waits: str = ""  # Why a read is being tried again.

    async def read(self, asked: task_pb2.TaskInput, offset_bytes: int, size_bytes: int) -> bytes:
        """SkippedObject, or an McError: SOURCE_AWAY when nobody can read it now."""
        tries = 0
        while True:
            try:
                data = await self.source.read(asked, offset_bytes, size_bytes)
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
            if len(data) != size_bytes:
                said = f"{len(data)} of {size_bytes} bytes at {offset_bytes}"
                raise SkippedObject(asked.path, CHANGED, said)
            return data


Outcome = bytes | Skip | McError
Read = Callable[[Piece], Awaitable[bytes]]


async def ahead(
    group: asyncio.TaskGroup, pieces: Iterable[Piece], read: Read
) -> AsyncGenerator[tuple[Piece, bytes | Skip], None]:
    """In the order of the pieces. The reads live in the group: none may span yields."""
    left = iter(pieces)
    under_way: deque[tuple[Piece, asyncio.Task[Outcome]]] = deque()
    ahead_bytes = 0
    more = True
    try:
        while True:
            while more and len(under_way) < AT_ONCE_MAX and ahead_bytes < AHEAD_BYTES:
                piece = next(left, None)
                if piece is None:
                    more = False
                    break
                under_way.append((piece, group.create_task(_outcome(read, piece))))
                ahead_bytes += piece.size_bytes
            if not under_way:
                return
            piece, task = under_way.popleft()
            found = await task
            ahead_bytes -= piece.size_bytes
            if isinstance(found, McError):
                raise found
            yield piece, found
    finally:
        for _, task in under_way:
            task.cancel()


async def _outcome(read: Read, piece: Piece) -> Outcome:
    """A failed read is told where its bytes are due; it ends nobody else."""
    try:
        return await read(piece)
    except SkippedObject as skipped:
        return Skip(skipped.why)
    except McError as error:
        return error
