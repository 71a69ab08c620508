"""The S3 driver against OpenStack Swift in both profiles of checksums, and against moto."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from nodeagent.clouds.contract import S3, Place, Shape
from nodeagent.clouds.credentials import Secret
from nodeagent.clouds.making import NodeClouds
from nodeagent.clouds.s3_client import client_of
from nodeagent.clouds.way import Way
from nodeagent.config.model import Clouds, Endpoint
from tests.clouds.conformance import PAGE_KEYS, PART_BYTES, Conformance, World, keys
from tests.support.servers.swift import KEY

VARIABLE = "MC_TEST_S3_KEY"


@pytest.fixture
def endpoint(swift_url: str, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    monkeypatch.setenv(VARIABLE, KEY)
    return Endpoint(kind="s3", url=swift_url, credentials=f"env:{VARIABLE}")


async def make_world(name: str, endpoint: Endpoint) -> AsyncIterator[World]:
    settings = Clouds(endpoints={"lab": endpoint})
    clouds = NodeClouds(lambda: settings, shape=Shape(PAGE_KEYS, PART_BYTES))
    other: Any = client_of(Way(S3, "lab", endpoint.url, credentials=Secret(endpoint.credentials)))
    await asyncio.to_thread(other.create_bucket, Bucket=name)

    async def abandon(key: str) -> None:
        await asyncio.to_thread(other.create_multipart_upload, Bucket=name, Key=key)

    # Swift looks before it writes, and lets go between the two.
    bucket = await clouds.bucket(Place(S3, name, "lab"))
    yield World(bucket, abandon, decides_races=False)
    await clouds.close()
    other.close()


class TestSwift(Conformance):
    @pytest.fixture
    async def world(self, name: str, endpoint: Endpoint) -> AsyncIterator[World]:
        async for world in make_world(name, endpoint):
            yield world


class TestSwiftAsAws:
    """With the checksums that AWS wants; what has to do with them."""

    @pytest.fixture
    async def world(self, name: str, endpoint: Endpoint) -> AsyncIterator[World]:
        async for world in make_world(name, endpoint.model_copy(update={"checksum": "aws"})):
            yield world

    test_whole = Conformance.test_what_was_put_is_read_bit_for_bit
    test_parts = Conformance.test_a_large_object_is_put_and_read_in_parts
    test_sums = Conformance.test_checksums_are_those_of_the_bytes
    test_probe = Conformance.test_a_probe_finds_all_abilities_and_leaves_nothing


class TestMoto:
    """It takes wrong checksums; of put-if-absent it knows all."""

    @pytest.fixture
    async def world(self, name: str, moto_url: str) -> AsyncIterator[World]:
        endpoint = Endpoint(kind="s3", url=moto_url, credentials=f"env:{VARIABLE}")
        async for world in make_world(name, endpoint):
            world.keeps_checksums = False
            yield world

    @pytest.fixture(autouse=True)
    def key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(VARIABLE, "some:key")

    test_absent = Conformance.test_a_put_if_absent_meets_what_is_there
    test_order = Conformance.test_keys_come_in_the_order_of_their_bytes_over_many_pages
    test_changed = Conformance.test_a_changed_object_is_never_read_as_the_old_one
    test_cursor = Conformance.test_a_cursor_is_good_after_its_page_changed
    test_beyond = Conformance.test_a_range_beyond_the_end_is_damage

    async def test_a_probe_finds_that_wrong_checksums_are_taken_and_says_so(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        able = await world.bucket.probe("", write=True)
        assert (able.ranged_read, able.pinned_read, able.put_if_absent) == (True, True, True)
        assert not able.checksums
        [said] = able.said
        assert "checksum is wrong" in said
        assert await keys(world.bucket) == []
