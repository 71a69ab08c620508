"""The S3 driver against OpenStack Swift in both profiles of checksums, and against moto."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from nodeagent.clouds.contract import S3, Place, Shape
from nodeagent.clouds.credentials import Secret
from nodeagent.clouds.s3 import S3Bucket
from nodeagent.clouds.s3_client import client_of
from nodeagent.clouds.threads import Threads
from nodeagent.clouds.way import AWS, COMPAT, Way
from tests.clouds.conformance import PAGE_KEYS, PART_BYTES, Conformance, World
from tests.support.servers.swift import KEY

VARIABLE = "MC_TEST_S3_KEY"


@pytest.fixture
def way(swift_url: str, monkeypatch: pytest.MonkeyPatch) -> Way:
    monkeypatch.setenv(VARIABLE, KEY)
    return Way(S3, "swift", swift_url, checksum=COMPAT, credentials=Secret(f"env:{VARIABLE}"))


async def make_world(name: str, way: Way) -> AsyncIterator[World]:
    threads = Threads(8)
    client: Any = await threads.run(lambda: client_of(way))
    await threads.run(lambda: client.create_bucket(Bucket=name))

    async def abandon(key: str) -> None:
        await threads.run(lambda: client.create_multipart_upload(Bucket=name, Key=key))

    place, shape = Place(S3, name, way.name), Shape(PAGE_KEYS, PART_BYTES)
    # Swift looks before it writes, and lets go between the two.
    bucket = S3Bucket(place, way, client, threads, shape=shape)
    yield World(bucket, abandon, decides_races=False)
    threads.close()
    client.close()


class TestSwift(Conformance):
    @pytest.fixture
    async def world(self, name: str, way: Way) -> AsyncIterator[World]:
        async for world in make_world(name, way):
            yield world


class TestSwiftAsAws:
    """With the checksums that AWS wants; what has to do with them."""

    @pytest.fixture
    async def world(self, name: str, way: Way) -> AsyncIterator[World]:
        async for world in make_world(name, replace(way, checksum=AWS)):
            yield world

    test_whole = Conformance.test_what_was_put_is_read_bit_for_bit
    test_parts = Conformance.test_a_large_object_is_put_and_read_in_parts
    test_sums = Conformance.test_checksums_are_those_of_the_bytes
    test_probe = Conformance.test_a_probe_finds_all_abilities_and_leaves_nothing
