"""The chunks of a result: sent by this task, or there already. What facts say of either."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from blake3 import blake3

from multicloud.v1 import job_pb2, task_pb2
from nodeagent.core.chunk.envelope import Bytes
from nodeagent.core.delivery_words import Copy
from nodeagent.jobs.working.earlier import Holding
from nodeagent.jobs.working.records import Filled
from nodeagent.jobs.working.sending import Borders, Sender, Sending
from nodeagent.wire.deliver import Delivered


@dataclass(slots=True)
class Kept:
    """A chunk of the version before: nothing of it is sealed, and nothing sent that is there."""

    chunk: task_pb2.SealedChunk
    task: str
    holding: Holding
    done: Delivered | None = None  # Copies that were missing.

    async def completed(self) -> bool:
        if self.holding.safe(self.chunk):
            return True
        self.done = await self.holding.complete(self.chunk, self.task)
        return self.done.reached.safe


Made = Sending | Kept


def told(made: Made) -> task_pb2.SealedChunk:
    """As facts name it, with the copies that there are by now."""
    if isinstance(made, Sending):
        return made.draft.told([(copy.node, copy.volume) for copy in made.copies()])
    if made.done is None:
        return made.chunk
    chunk = task_pb2.SealedChunk()
    chunk.CopyFrom(made.chunk)
    del chunk.copies[:]
    for copy in made.done.reached.copies:
        chunk.copies.add(chunk_id=chunk.id, node=copy.node, volume=copy.volume)
    return chunk


async def safe(made: Made) -> bool:
    """Once nothing more becomes of it."""
    if isinstance(made, Kept):
        return await made.completed()
    await made.ended.wait()
    return made.done is not None and made.done.reached.safe


def edges_to_ack(all_made: Iterable[Made], sender: Sender) -> list[job_pb2.EdgeBytes]:
    return _summed(
        sender.borders(made.at_ack, made.draft.file_bytes)
        for made in all_made
        if isinstance(made, Sending) and made.at_ack
    )


def edges_after(all_made: Iterable[Made], sender: Sender) -> list[job_pb2.EdgeBytes]:
    return _summed(_after(made, sender) for made in all_made)


def _after(made: Made, sender: Sender) -> Borders:
    if isinstance(made, Kept):
        before = [Copy(copy.node, copy.volume) for copy in made.chunk.copies]
        size_bytes = made.chunk.sealed_bytes
        return sender.borders(made.done, size_bytes, before) if made.done else {}
    if made.done is None or made.at_ack is None:
        return {}
    return sender.borders(made.done, made.draft.file_bytes, made.at_ack.reached.copies)


def _summed(found: Iterable[Borders]) -> list[job_pb2.EdgeBytes]:
    sums: dict[tuple[str, str], job_pb2.EdgeBytes] = {}
    for borders in found:
        for (one, other), crossed in borders.items():
            edge = job_pb2.EdgeBytes(from_cloud=one, to_cloud=other)
            edge = sums.setdefault((one, other), edge)
            edge.bytes += crossed.bytes
            edge.usd += crossed.usd
    return [edge for _, edge in sorted(sums.items())]


async def filled(plain: AsyncIterator[Bytes]) -> Filled:
    """All bytes of a chunk, in memory."""
    full = Filled()
    async for piece in plain:
        full.add(bytes(piece))
    return full


def plain_hash(full: Filled) -> bytes:
    digest = blake3()
    for piece in full.pieces:
        digest.update(piece)
    return digest.digest()
