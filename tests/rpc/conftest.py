"""One node and its cluster's authority for all tests of a file that only look."""

from collections.abc import AsyncIterator

import pytest

from tests.support.nodes import Running, make_place, running
from tests.support.people import People


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
async def node(people: People, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    place = make_place(people, tmp_path_factory.mktemp("nodes"), 1)
    async with running(place) as one:
        yield one
