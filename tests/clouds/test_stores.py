"""The store in a bucket keeps its promises on real servers: OpenStack Swift, Google's emulator with
strict preconditions, Azurite. What rots, rots between them and us.
"""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from multicloud.errors import McError
from nodeagent.clouds.contract import Abilities, Bucket, Object, Page, Place
from nodeagent.store.contract import Pin
from tests.clouds.kinds import kind_of
from tests.unit.store.bucket_world import BucketWorld
from tests.unit.store.conformance import Conformance
from tests.unit.store.store_world import World, bytes_of, chunk_of, large_chunk, put, reason_of

KINDS = ["s3", "gs", "az"]


class Rotting:
    """A real bucket some of whose objects are not what they were."""

    def __init__(self, inner: Bucket) -> None:
        self.inner = inner
        self.newest: dict[str, str] = {}  # By the chunk's id.
        self.flipped: dict[str, int] = {}
        self.gone: set[str] = set()

    @property
    def place(self) -> Place:
        return self.inner.place

    @property
    def region(self) -> str:
        return self.inner.region

    def spoil(self, chunk_id: bytes, offset: int) -> None:
        self.flipped[self.newest[chunk_id.hex()]] = offset

    def lose(self, chunk_id: bytes) -> None:
        self.gone.add(self.newest[chunk_id.hex()])

    async def page(self, prefix: str, cursor: str = "", after: str = "") -> Page:
        found = await self.inner.page(prefix, cursor, after)
        return Page([one for one in found.objects if one.key not in self.gone], found.cursor)

    async def head(self, key: str) -> Object:
        self._there(key)
        return await self.inner.head(key)

    async def read(self, key: str, pin: str, first: int, count: int) -> AsyncIterator[bytes]:
        self._there(key)
        async for piece in self.inner.read(key, pin, first, count):
            at = self.flipped.get(key, -1) - first
            if 0 <= at < len(piece):
                yield piece[:at] + bytes([piece[at] ^ 1]) + piece[at + 1 :]
            else:
                yield piece
            first += len(piece)

    async def put(
        self, key: str, parts: AsyncIterator[bytes], size_bytes: int, *, absent: bool
    ) -> Object:
        self.newest[key.rpartition("/")[2].partition(".")[0]] = key
        return await self.inner.put(key, parts, size_bytes, absent=absent)

    async def delete(self, key: str) -> None:
        await self.inner.delete(key)

    async def sweep(self, prefix: str, older_than_s: float) -> int:
        return await self.inner.sweep(prefix, older_than_s)

    async def probe(self, prefix: str, *, write: bool) -> Abilities:
        return await self.inner.probe(prefix, write=write)

    async def close(self) -> None:
        await self.inner.close()

    def _there(self, key: str) -> None:
        if key in self.gone:
            raise McError("NOT_FOUND", f"there is no {key}")


@pytest.fixture(params=KINDS)
async def bucket(
    request: pytest.FixtureRequest, name: str, url_of: Callable[[str], str], tmp_path: Path
) -> AsyncIterator[Bucket]:
    async with kind_of(request.param, url_of, name, tmp_path) as kind:
        yield kind.bucket


@pytest.mark.slow
class TestStoresOfClouds(Conformance):
    @pytest.fixture
    async def world(self, bucket: Bucket, tmp_path: Path) -> AsyncIterator[World]:
        (tmp_path / "index").mkdir()
        rotting = Rotting(bucket)
        made = BucketWorld(rotting, tmp_path / "index")
        world = await made.world(rotting.spoil, rotting.lose)
        yield world
        await world.store.close()


async def test_a_volume_of_a_real_cloud_streams_is_found_again_and_adopted(
    bucket: Bucket, tmp_path: Path
) -> None:
    (tmp_path / "index").mkdir()
    world = BucketWorld(bucket, tmp_path / "index")
    old = await world.open("node-1")
    small, large = chunk_of(1), large_chunk(12 << 20)
    await put(old, small)
    writing = await old.put(len(large.file), large.id)
    for piece in (large.header, *large.frames, large.trailer):
        await writing.write(piece)
    await writing.commit(large.envelope(), Pin("job-1"))
    assert await reason_of(world.open("node-2")) == "VOLUME_WRONG"
    world.wipe()
    new = await world.open("node-2", adopt_from="node-1")
    assert new.volume == old.volume
    for chunk in (small, large):
        assert await bytes_of(new, chunk) == chunk.file
    assert await new.pins(large.id) == [Pin("job-1")]
    await new.unpin("job-1")
    assert await new.trash(large.id, "no root")
    assert await new.purge(large.id) == len(large.file)
    assert await reason_of(new.read(large.id)) == "NOT_FOUND"
    assert await reason_of(old.unpin("job-1")) == "VOLUME_FAILED"
    for store in (old, new):
        await store.close()
