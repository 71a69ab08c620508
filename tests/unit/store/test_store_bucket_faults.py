"""A volume in a bucket while its cloud is slow, full, forbidden or gone, and puts that stream."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from multicloud.errors import McError
from nodeagent.clouds.contract import Place, Shape
from nodeagent.clouds.memory import MemoryBucket
from nodeagent.store.bucket.layout import Keys
from nodeagent.store.contract import VolumeState
from tests.unit.store.bucket_world import PREFIX, BucketWorld, memory_bucket
from tests.unit.store.store_world import bytes_of, chunk_of, large_chunk, put, reason_of

T = TypeVar("T")
KEYS = Keys(PREFIX)


class Weather:
    """Refuses requests of some names, or loses their answers."""

    def __init__(self) -> None:
        self.refused: dict[str, McError] = {}
        self.lost: set[str] = set()

    async def take(self, name: str, call: Callable[[], Awaitable[T]], size_bytes: int = 0) -> T:
        if name in self.refused:
            raise self.refused[name]
        done = await call()
        if name in self.lost:
            self.lost.discard(name)
            raise McError("UNREACHABLE", "the connection broke")
        return done


def stormy(part_bytes: int = 8 << 20) -> tuple[MemoryBucket, Weather]:
    weather = Weather()
    place = Place("s3", "stormy")
    return MemoryBucket(place, shape=Shape(part_bytes=part_bytes), turns=weather), weather


async def test_a_chunk_whose_id_is_known_streams_and_is_there_only_when_committed(
    tmp_path: Path,
) -> None:
    bucket, _ = stormy(part_bytes=1 << 20)
    store = await BucketWorld(bucket, tmp_path).open()
    chunk = large_chunk(6 << 20)
    writing = await store.put(len(chunk.file), chunk.id)
    for piece in (chunk.header, *chunk.frames):
        await writing.write(piece)
    await _until(lambda: bool(bucket.uploads) and len(bucket.uploads[0].data) >= 4 << 20)
    assert KEYS.chunk(chunk.id) not in bucket.objects
    await writing.write(chunk.trailer)
    done = await writing.commit(chunk.envelope(), None)
    assert not done.already
    assert len(bucket.objects[KEYS.chunk(chunk.id)][1]) == len(chunk.file)
    assert await bytes_of(store, chunk) == chunk.file
    await store.close()


async def test_a_streaming_put_that_is_given_up_leaves_no_upload(tmp_path: Path) -> None:
    bucket, _ = stormy(part_bytes=1 << 20)
    store = await BucketWorld(bucket, tmp_path).open()
    chunk = large_chunk(3 << 20)
    writing = await store.put(len(chunk.file), chunk.id)
    await writing.write(chunk.file[: 2 << 20])
    await _until(lambda: bool(bucket.uploads))
    await writing.abort()
    assert bucket.uploads == []
    assert await reason_of(writing.write(b"more")) == "FAILED"
    assert store.health().bytes_free == store.health().bytes_total
    await store.close()


async def test_another_chunk_than_was_announced_is_refused(tmp_path: Path) -> None:
    store = await BucketWorld(memory_bucket(), tmp_path).open()
    one, other = chunk_of(1), chunk_of(2)
    writing = await store.put(len(one.file), other.id)
    await writing.write(one.file)
    assert await reason_of(writing.commit(one.envelope(), None)) == "DAMAGE"
    assert await store.find([one.id, other.id]) == []
    await store.close()


@pytest.mark.parametrize("streams", [False, True])
async def test_a_put_whose_answer_was_lost_is_found_there_and_read_before_it_counts(
    tmp_path: Path, streams: bool
) -> None:
    bucket, weather = stormy()
    world = BucketWorld(bucket, tmp_path)
    store = await world.open()
    chunk = chunk_of(1)

    async def once() -> bool:
        writing = await store.put(len(chunk.file), chunk.id if streams else b"")
        await writing.write(chunk.file)
        return (await writing.commit(chunk.envelope(), None)).already

    weather.lost.add("Put")
    assert await reason_of(once()) == "UNREACHABLE"
    assert await store.find([chunk.id]) == []
    world.clock.now_s += 60
    await store.tend()
    assert not await once()
    assert sum(chunk.id.hex() in key for key in bucket.objects) == 1
    assert await bytes_of(store, chunk) == chunk.file
    await store.close()


async def test_what_stands_in_the_way_and_is_bad_is_passed_by(tmp_path: Path) -> None:
    bucket = memory_bucket()
    store = await BucketWorld(bucket, tmp_path).open()
    chunk = chunk_of(1)
    key = KEYS.chunk(chunk.id)
    await bucket.put(key, _whole(b"not a chunk"), 11, absent=True)
    assert not (await put(store, chunk)).already
    assert await bytes_of(store, chunk) == chunk.file
    assert bucket.objects[key][1] == b"not a chunk"
    await store.close()


async def test_a_cloud_that_forbids_or_is_away_makes_the_volume_read_only_until_it_is_back(
    tmp_path: Path,
) -> None:
    bucket, weather = stormy()
    world = BucketWorld(bucket, tmp_path)
    store = await world.open()
    chunk = chunk_of(1)
    await put(store, chunk)
    for reason in ("NOT_ALLOWED", "UNREACHABLE"):
        weather.refused["Put"] = McError(reason, "s3:PutObject on arn:aws:s3:::b/k")
        assert await reason_of(put(store, chunk_of(2))) == reason
        health = store.health()
        assert health.state is VolumeState.READ_ONLY
        assert "s3:PutObject" in health.why
        assert await reason_of(store.put(10)) == "VOLUME_READ_ONLY"
        assert await bytes_of(store, chunk) == chunk.file
        weather.refused.clear()
        world.clock.now_s += 60
        await store.tend()
        assert store.health().state is VolumeState.HEALTHY
    await put(store, chunk_of(2))
    await store.close()


async def test_a_cloud_that_throttles_is_asked_again_later(tmp_path: Path) -> None:
    bucket, weather = stormy()
    store = await BucketWorld(bucket, tmp_path).open()
    weather.refused["Put"] = McError("TOO_BUSY", "SlowDown", retry_after_s=3.0)
    with pytest.raises(McError) as caught:
        await put(store, chunk_of(1))
    assert (caught.value.reason, caught.value.retry_after_s) == ("TOO_BUSY", 3.0)
    assert store.health().state is VolumeState.HEALTHY
    await store.close()


async def test_a_bucket_that_is_gone_loses_no_chunk_of_the_table(tmp_path: Path) -> None:
    bucket = memory_bucket()
    store = await BucketWorld(bucket, tmp_path).open()
    told = []
    store.on_damage(lambda held, why: told.append(held))
    chunk = chunk_of(1)
    await put(store, chunk)
    bucket.objects.clear()
    assert await reason_of(store.read(chunk.id)) == "VOLUME_FAILED"
    assert told == []
    assert store.health().state is VolumeState.FAILED
    await store.close()


async def test_the_quota_bounds_what_is_put_and_what_lies_in_the_trash_counts(
    tmp_path: Path,
) -> None:
    chunk = chunk_of(1)
    size = len(chunk.file)
    world = BucketWorld(memory_bucket(), tmp_path, bytes_total=2 * size)
    store = await world.open()
    await put(store, chunk, None)
    await put(store, chunk_of(2), None)
    assert store.health().state is VolumeState.FULL
    assert await reason_of(store.put(size)) == "NO_ROOM"
    await store.trash(chunk.id, "no root")
    assert await reason_of(store.put(size)) == "NO_ROOM"
    assert await store.purge(chunk.id) == size
    await put(store, chunk_of(3), None)
    await store.close()


async def test_what_is_purged_while_it_is_read_is_deleted_after_the_last_reader(
    tmp_path: Path,
) -> None:
    bucket = memory_bucket()
    store = await BucketWorld(bucket, tmp_path).open()
    chunk = chunk_of(1)
    await put(store, chunk, None)
    reading = await store.read(chunk.id)
    await store.trash(chunk.id, "no root")
    await store.purge(chunk.id)
    assert KEYS.chunk(chunk.id) in bucket.objects
    assert b"".join([frame async for frame in reading.frames()]) == b"".join(chunk.frames)
    await reading.close()
    await store.tend()
    assert KEYS.chunk(chunk.id) not in bucket.objects
    await store.close()


async def test_what_was_given_up_and_not_deleted_yet_does_not_come_back_at_the_next_start(
    tmp_path: Path,
) -> None:
    bucket, weather = stormy()
    world = BucketWorld(bucket, tmp_path)
    store = await world.open()
    chunk = chunk_of(1)
    await put(store, chunk, None)
    await store.trash(chunk.id, "no root")
    weather.refused["Delete"] = McError("NOT_ALLOWED", "s3:DeleteObject on arn:aws:s3:::b/k")
    await store.purge(chunk.id)
    assert KEYS.chunk(chunk.id) in bucket.objects
    await store.close()
    weather.refused.clear()
    again = await world.open()
    assert await again.find([chunk.id]) == []
    assert await again.trashed() == []
    await again.tend()
    assert KEYS.chunk(chunk.id) not in bucket.objects
    await put(again, chunk)
    assert await bytes_of(again, chunk) == chunk.file
    await again.close()


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0)


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    yield data
