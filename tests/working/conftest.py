"""Three real nodes that know each other; the first of them will work."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.support.meeting import meeting
from tests.support.nodes import Running, until
from tests.support.people import People
from tests.working.workbench import moody


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
async def trio(
    people: People, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[Running]]:
    async with AsyncExitStack() as stack:
        nodes = await meeting(stack, people, tmp_path_factory.mktemp("trio"), 3, store=moody)

        def all_known() -> bool:
            members = nodes[0].node.view().members.values()
            return sum(m.facts is not None and m.facts.bytes_total > 0 for m in members) == 3

        await until(all_known, 20)
        yield nodes
