"""The driver of Google's storage against an emulator that keeps its promises on generations."""

from collections.abc import AsyncIterator

import pytest

from nodeagent.clouds.contract import GCS, Place, Shape
from nodeagent.clouds.making import NodeClouds
from nodeagent.config.model import Clouds, Endpoint
from tests.clouds.conformance import PAGE_KEYS, PART_BYTES, Conformance, World
from tests.clouds.kinds import make_gcs_bucket


class TestGcs(Conformance):
    @pytest.fixture
    async def world(self, name: str, gcs_url: str) -> AsyncIterator[World]:
        make_gcs_bucket(gcs_url, name)
        endpoint = Endpoint(kind="gs", url=gcs_url, credentials="anonymous")
        settings = Clouds(endpoints={"lab": endpoint})
        clouds = NodeClouds(lambda: settings, shape=Shape(PAGE_KEYS, PART_BYTES))
        yield World(await clouds.bucket(Place(GCS, name, "lab")))
        await clouds.close()
