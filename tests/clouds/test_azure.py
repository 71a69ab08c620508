"""The driver of Azure's storage against Azurite."""

from collections.abc import AsyncIterator

import pytest

from nodeagent.clouds.contract import AZURE, Place, Shape
from nodeagent.clouds.making import NodeClouds
from nodeagent.config.model import Clouds, Endpoint
from tests.clouds.conformance import PAGE_KEYS, PART_BYTES, Conformance, World
from tests.clouds.kinds import make_azure_container
from tests.support.servers.azurite import ACCOUNT, KEY

VARIABLE = "MC_TEST_AZURE_KEY"


class TestAzurite(Conformance):
    @pytest.fixture
    async def world(
        self, name: str, azurite_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[World]:
        monkeypatch.setenv(VARIABLE, f"AccountName={ACCOUNT};AccountKey={KEY}")
        await make_azure_container(azurite_url, name)
        endpoint = Endpoint(kind="az", url=azurite_url, credentials=f"env:{VARIABLE}")
        settings = Clouds(endpoints={"lab": endpoint})
        clouds = NodeClouds(lambda: settings, shape=Shape(PAGE_KEYS, PART_BYTES))
        bucket = await clouds.bucket(Place(AZURE, f"{ACCOUNT}/{name}", "lab"))
        yield World(bucket, alphabet="utf-16-be")  # Beyond the basic plane Azurite differs.
        await clouds.close()
