"""The bucket in memory keeps the contract: tests of its users rest on it."""

import pytest

from nodeagent.clouds.contract import S3, Place, Shape
from nodeagent.clouds.memory import MemoryBucket, MemoryClouds, Upload
from tests.clouds.conformance import PAGE_KEYS, PART_BYTES, Conformance, World, refusal

PLACE = Place(S3, "memory")


class TestMemoryBucket(Conformance):
    @pytest.fixture
    def world(self) -> World:
        bucket = MemoryBucket(PLACE, clock=lambda: 1e9, shape=Shape(PAGE_KEYS, PART_BYTES))

        async def abandon(key: str) -> None:
            bucket.uploads.append(Upload(key, 1e9))

        return World(bucket, abandon)


async def test_clouds_in_memory_have_the_buckets_they_were_given() -> None:
    bucket = MemoryBucket(PLACE)
    clouds = MemoryClouds(bucket)
    assert await clouds.bucket(PLACE) is bucket
    error = await refusal(clouds.bucket(Place(S3, "other", "lab")))
    assert error.reason == "NOT_FOUND"
    assert "s3://other at lab" in error.message
    await clouds.close()
