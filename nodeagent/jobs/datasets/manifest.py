"""Writes a version's manifest from the results of its job, and sends it as chunks.

`write_manifest` sorts on disk and streams; its memory is that of `sorting` and of one block.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from coordinator.electorate import Ask
from coordinator.policy import Policy
from coordinator.types import Domain
from multicloud import __version__
from multicloud.v1 import common_pb2, records_pb2, task_pb2
from nodeagent.core.chunk.codec import Codec
from nodeagent.core.chunk.envelope import Bytes
from nodeagent.core.chunk.header import SALT_BYTES
from nodeagent.core.chunk.keys import DatasetKey
from nodeagent.core.chunk.seal import Sealer
from nodeagent.core.delivery_words import ACK_COPIES_DEFAULT
from nodeagent.jobs.datasets.blocks import BLOCK_BYTES, BLOCKS_PER_CHUNK, FORMAT, encode
from nodeagent.jobs.datasets.sorting import Sorting
from nodeagent.wire.deliver import Deliverer
from nodeagent.wire.outlet import Terms
from nodeagent.wire.parts import Parts
from nodeagent.wire.sealing import Plain, Sealing, sealed_bytes_max

CHUNK_BYTES = BLOCKS_PER_CHUNK * BLOCK_BYTES
BATCH_BYTES = 2 << 20  # Of results that wait to be sorted.


class Send(Protocol):
    """Seals and stores one chunk of a manifest, as safe as its job asks."""

    def __call__(
        self, place: int, plain: Plain, plain_bytes: int
    ) -> Awaitable[common_pb2.ChunkRef]: ...


@dataclass(frozen=True, slots=True)
class Written:
    """`chunks` goes into the version's record and the job's outcome."""

    chunks: tuple[common_pb2.ChunkRef, ...]
    head: records_pb2.ManifestHead  # With the sums: files, chunks, bytes, records.


async def write_manifest(
    head: records_pb2.ManifestHead,
    results: AsyncIterable[task_pb2.TaskResult],
    send: Send,
    scratch: Path,
    *,
    left_out: Iterable[bytes] = (),
) -> Written:
    """`results`: the chosen result of each task of a complete ledger; in the same order they make
    the same manifest. Objects that a result has skipped or cut short make no file, nor do those
    `left_out`: the objects of tasks without a result. `head` needs name, version, job, source and
    pipeline_toml. `scratch` is a folder on disk for what is sorted: about 250 bytes a file, gone
    afterwards.
    """
    with TemporaryDirectory(prefix="manifest-", dir=scratch) as folder:
        whole, file = await _sorted(head, results, left_out, Path(folder))
        size_bytes = file.stat().st_size
        chunks = [
            await send(
                place, _piece(file, start, CHUNK_BYTES), min(CHUNK_BYTES, size_bytes - start)
            )
            for place, start in enumerate(range(0, size_bytes, CHUNK_BYTES))
        ]
    return Written(tuple(chunks), whole)


async def _sorted(
    head: records_pb2.ManifestHead,
    results: AsyncIterable[task_pb2.TaskResult],
    left_out: Iterable[bytes],
    folder: Path,
) -> tuple[records_pb2.ManifestHead, Path]:
    sorting = await asyncio.to_thread(Sorting, folder / "sorting")
    try:
        batch: list[task_pb2.TaskResult] = []
        batch_bytes = 0
        async for result in results:
            batch.append(result)
            batch_bytes += result.ByteSize()
            if batch_bytes >= BATCH_BYTES:
                await asyncio.to_thread(sorting.add, batch)
                batch, batch_bytes = [], 0
        await asyncio.to_thread(sorting.add, batch)
        await asyncio.to_thread(sorting.leave_out, left_out)
        await asyncio.to_thread(sorting.done)
        return await asyncio.to_thread(_spooled, head, sorting, folder / "manifest")
    finally:
        await asyncio.to_thread(sorting.close)


def _spooled(
    head: records_pb2.ManifestHead, sorting: Sorting, file: Path
) -> tuple[records_pb2.ManifestHead, Path]:
    """On disk first: a chunk that has to be sent anew is read anew."""
    whole = records_pb2.ManifestHead()
    whole.CopyFrom(head)
    whole.format, whole.software = FORMAT, __version__
    whole.files, whole.chunks, whole.bytes, whole.records = sorting.totals()
    with file.open("wb") as out:
        for block in encode(whole, sorting.chunks(), sorting.files()):
            out.write(block)
    return whole, file


def _piece(file: Path, start: int, size_bytes: int) -> Plain:
    async def plain() -> AsyncGenerator[Bytes, None]:
        for at in range(start, start + size_bytes, BLOCK_BYTES):
            block = await asyncio.to_thread(_read, file, at)
            if block:
                yield block

    return plain


def _read(file: Path, at: int) -> bytes:
    with file.open("rb") as source:
        source.seek(at)
        return source.read(BLOCK_BYTES)


@dataclass(slots=True)
class Delivering:
    """`Send` by this node's deliverer: safe by the policy, or an error that says what is missing.

    The chunks are pinned for the job; unpin when its outcome names them.
    """

    deliverer: Deliverer
    key: DatasetKey
    policy: Policy
    job: str
    source: Domain  # Where this node stands.
    ack_copies: int = ACK_COPIES_DEFAULT
    draw: Callable[[int], bytes] = secrets.token_bytes

    async def __call__(self, place: int, plain: Plain, plain_bytes: int) -> common_pb2.ChunkRef:
        size_bytes = sealed_bytes_max(plain_bytes, BLOCK_BYTES)
        task = f"manifest.{place}"
        node = self.deliverer.ground.node
        ask = Ask(self.policy, self.source, f"{self.job}.{task}", size_bytes, source_node=node)
        election = await asyncio.to_thread(self.deliverer.brain.elect, ask, {})
        sealing = Sealing(self._sealer, plain)
        file_bytes = 0

        async def parts() -> Parts:
            nonlocal file_bytes
            file_bytes = 0
            async with aclosing(sealing.parts()) as sealed:
                async for part in sealed:
                    file_bytes += len(part.data)
                    yield part

        terms = Terms(self.job, task, size_bytes)
        done = await self.deliverer.deliver(parts, election, terms, ack_copies=self.ack_copies)
        done.demand_safe()
        return common_pb2.ChunkRef(id=done.chunk_id, size_bytes=file_bytes)

    def _sealer(self) -> Sealer:
        """Always compressed: blocks are filled up with zeros."""
        salt = self.draw(SALT_BYTES)
        return Sealer(self.key, salt=salt, codec=Codec.ZSTD, frame_bytes=BLOCK_BYTES)
