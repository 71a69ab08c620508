"""Three real nodes and their council, for all tests of a file."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.datasets.shelf import Shelf, shelf
from tests.support.people import People


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
async def trio(people: People, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shelf]:
    async with AsyncExitStack() as stack:
        yield await shelf(stack, people, tmp_path_factory.mktemp("trio"))
