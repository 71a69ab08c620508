"""A store in a bucket, opened and opened again, and what happens to its objects behind its back."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from nodeagent.clouds.contract import Bucket, Place
from nodeagent.clouds.memory import MemoryBucket
from nodeagent.store.bucket.store import BucketStore
from nodeagent.store.local.index import open_index
from tests.unit.store.store_world import Clock, World

PREFIX = "some/where/"
TOTAL = 1 << 30


def memory_bucket() -> MemoryBucket:
    return MemoryBucket(Place("s3", "memory"))


@dataclass
class BucketWorld:
    """One prefix of a bucket, as several nodes may open it."""

    bucket: Bucket
    folder: Path
    clock: Clock = field(default_factory=Clock)
    prefix: str = PREFIX
    bytes_total: int = TOTAL
    _numbers: Iterator[int] = field(default_factory=count)

    async def open(
        self, node: str = "node-1", *, expected: str = "", adopt_from: str = ""
    ) -> BucketStore:
        return await BucketStore.open(
            self.bucket,
            self.prefix,
            node=node,
            bytes_total=self.bytes_total,
            index=lambda uuid: open_index(str(self.folder / f"{node}-{uuid}.sqlite")),
            expected=expected,
            adopt_from=adopt_from,
            clock=self.clock,
            new_uuid=lambda: f"uuid-{next(self._numbers)}",
        )

    def wipe(self) -> None:
        """What nodes keep on their own disks is gone."""
        for file in self.folder.iterdir():
            file.unlink()

    def newest(self, bucket: MemoryBucket, chunk_id: bytes) -> str:
        return max(key for key in bucket.objects if chunk_id.hex() in key)

    def spoil(self, bucket: MemoryBucket, chunk_id: bytes, offset: int) -> None:
        key = self.newest(bucket, chunk_id)
        found, data = bucket.objects[key]
        changed = bytes([data[offset] ^ 1])
        bucket.objects[key] = found, data[:offset] + changed + data[offset + 1 :]

    async def world(
        self, spoil: Callable[[bytes, int], None], lose: Callable[[bytes], None]
    ) -> World:
        async def reopen() -> BucketStore:
            await world.store.close()
            return await self.open()

        reopened: Callable[[], Awaitable[BucketStore]] = reopen
        world = World(await self.open(), self.clock, spoil, lose, reopened)
        return world
