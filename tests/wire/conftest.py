"""Three real nodes that know each other, for tests of chunks that travel."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from multicloud.channel import Credentials
from tests.support.meeting import meeting
from tests.support.nodes import Running
from tests.support.people import People

STRANGER = "f" * 16  # A node of the cluster that only sends.


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def sender(people: People) -> Credentials:
    return people.node(STRANGER)


@pytest.fixture(scope="module")
async def trio(
    people: People, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[Running]]:
    async with AsyncExitStack() as stack:
        yield await meeting(stack, people, tmp_path_factory.mktemp("trio"), 3)
