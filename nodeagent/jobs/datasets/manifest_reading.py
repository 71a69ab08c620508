"""A version's manifest as it is read: one block at a time, whatever its size; any chunk by its
number, any file by its path, files from a path on. Blocks read last are kept.
"""

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from multicloud.errors import McError
from multicloud.v1 import records_pb2
from nodeagent.core.chunk.keys import DatasetKey
from nodeagent.jobs.datasets import blocks
from nodeagent.jobs.datasets.blocks import BLOCK_BYTES, BLOCKS_PER_CHUNK, CHUNKS_PER_BLOCK
from nodeagent.jobs.datasets.chunk_reading import ChunkReading

BLOCKS_KEPT = 8  # Decoded: about a MiB each.

T = TypeVar("T")
Files = list[records_pb2.ManifestFile]


@dataclass(slots=True)
class ManifestReading:
    record: records_pb2.VersionRecord
    key: DatasetKey
    chunks_of_node: ChunkReading
    _head: records_pb2.ManifestHead | None = None
    _blocks: int = 0
    _files: OrderedDict[int, Files] = field(default_factory=OrderedDict)
    _chunks: OrderedDict[int, list[records_pb2.ManifestChunk]] = field(default_factory=OrderedDict)

    async def head(self) -> records_pb2.ManifestHead:
        if self._head is None:
            head = blocks.head_of(await self._block(0))
            if (head.name, head.version) != (self.record.name, self.record.version):
                said = f"the manifest of {self.record.name}@{self.record.version} is that of "
                raise McError("DAMAGE", f"{said}{head.name}@{head.version}")
            self._head = head
        return self._head

    async def chunk(self, place: int) -> records_pb2.ManifestChunk:
        if place >= (await self.head()).chunks:
            raise McError("DAMAGE", f"the manifest names chunk {place}, which it does not have")
        number = 1 + place // CHUNKS_PER_BLOCK
        found = self._chunks.get(number)
        if found is None:
            found = blocks.chunks_of(await self._block(number))
            _keep(self._chunks, number, found)
        return found[place % CHUNKS_PER_BLOCK]

    async def chunks(self) -> AsyncIterator[records_pb2.ManifestChunk]:
        """All of them, block by block."""
        for number in range(1, blocks.files_begin((await self.head()).chunks)):
            for chunk in blocks.chunks_of(await self._block(number)):
                yield chunk

    async def file(self, path: bytes) -> Files:
        """The entries of one file; NOT_FOUND when there is none."""
        entries = [one async for one in self._of(path)]
        if not entries:
            name, version = self.record.name, self.record.version
            shown = path.decode("utf-8", "backslashreplace")
            said = f"{name}@{version} has no file {shown}"
            raise McError("NOT_FOUND", said, next=f"mcctl ls {name}@{version}")
        return entries

    async def several(self, paths: Iterable[bytes]) -> dict[bytes, Files]:
        """The entries of those files that are there; each block is looked at once."""
        found: dict[bytes, Files] = {}
        block: Files = []
        for path in sorted(paths):
            if not block or path >= block[-1].path:
                block = await self._files_of(await self._number_of(path))
                if path >= block[-1].path:  # Its entries may stand in several blocks.
                    found[path] = [one async for one in self._of(path)]
                    continue
            first = bisect_left(block, path, key=_path)
            found[path] = block[first : bisect_right(block, path, lo=first, key=_path)]
        return {path: entries for path, entries in found.items() if entries}

    async def _of(self, path: bytes) -> AsyncIterator[records_pb2.ManifestFile]:
        async for file in self.entries(path):
            if file.path != path:
                return
            yield file

    async def entries(self, begin: bytes) -> AsyncIterator[records_pb2.ManifestFile]:
        """From that path on, in order."""
        number, last = await self._number_of(begin), await self._last()
        while number <= last:
            found = await self._files_of(number)
            for place in range(bisect_left(found, begin, key=_path), len(found)):
                yield found[place]
            number += 1

    async def _number_of(self, path: bytes) -> int:
        """The block in which that path begins, or would: the last that begins before it."""
        low, high = blocks.files_begin((await self.head()).chunks), await self._last()
        first = low
        while low <= high:
            middle = (low + high) // 2
            if (await self._files_of(middle))[0].path < path:
                low = middle + 1
            else:
                high = middle - 1
        return max(first, low - 1)

    async def _files_of(self, number: int) -> Files:
        found = self._files.get(number)
        if found is None:
            found = blocks.files_of(await self._block(number))
            _keep(self._files, number, found)
        else:
            self._files.move_to_end(number)
        return found

    async def _last(self) -> int:
        """The number of the last block."""
        if not self._blocks:
            refs = self.record.manifest
            if not refs:
                raise McError("DAMAGE", f"{self.record.name}@{self.record.version} has no manifest")
            plain_bytes = await self.chunks_of_node.plain_bytes(refs[-1].id, self.key, BLOCK_BYTES)
            full = BLOCKS_PER_CHUNK * (len(refs) - 1)
            self._blocks = full + -(-plain_bytes // BLOCK_BYTES)
        return self._blocks - 1

    async def _block(self, number: int) -> bytes:
        place, index = divmod(number, BLOCKS_PER_CHUNK)
        if place >= len(self.record.manifest):
            raise McError("DAMAGE", f"the manifest ends before its block {number}")
        ref = self.record.manifest[place]
        return await self.chunks_of_node.frame(ref.id, self.key, index, BLOCK_BYTES)


def _path(file: records_pb2.ManifestFile) -> bytes:
    return file.path


def _keep(kept: OrderedDict[int, list[T]], number: int, found: list[T]) -> None:
    kept[number] = found
    if len(kept) > BLOCKS_KEPT:
        kept.popitem(last=False)
