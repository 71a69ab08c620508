"""Three real nodes that know each other, for tests of chunks that travel."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from multicloud.channel import Credentials
from nodeagent.store.volumes import Volumes
from tests.support.nodes import Place, Running, make_place, running, until
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


async def meeting(
    stack: AsyncExitStack,
    people: People,
    folder: Path,
    count: int,
    limits: dict[str, Any] | None = None,
    store: Callable[[Place], Volumes | None] = lambda _: None,
) -> list[Running]:
    """Nodes that have met: each knows where the others are."""
    nodes: list[Running] = []
    for number in range(1, count + 1):
        known = [node.address for node in nodes]
        join = {"peers": known, "greet_every_s": 0.2, "greet_timeout_s": 1.0}
        place = make_place(people, folder, number, {"join": join, "limits": limits or {}})
        nodes.append(await stack.enter_async_context(running(place, store(place))))
    await until(lambda: all(_knows(a, b) for a in nodes for b in nodes if a is not b), 30)
    return nodes


def _knows(one: Running, other: Running) -> bool:
    peer = one.node.roster.peers.get(other.place.id)
    return bool(peer and peer.facts and peer.facts.endpoints)
