"""Three nodes that know each other, and a folder to be read."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.sources.ground import Site
from tests.sources.town import Town
from tests.support.meeting import meeting
from tests.support.nodes import until
from tests.support.people import People


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
async def trio(
    people: People, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[Site]]:
    async with AsyncExitStack() as stack:
        nodes = await meeting(stack, people, tmp_path_factory.mktemp("trio"), 3)
        sites = [Site(node) for node in nodes]
        ids = {site.id for site in sites}
        await until(lambda: all(ids <= s.running.node.view().members.keys() for s in sites), 30)
        yield sites


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "set" / "b").mkdir(parents=True)
    (tmp_path / "set" / "big").write_bytes(os.urandom(9 << 20))
    (tmp_path / "set" / "b" / "small").write_bytes(b"small")
    (tmp_path / "set" / "empty").touch()
    return tmp_path / "set"


@pytest.fixture(scope="module")
async def standing_town(
    people: People, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Town]:
    found = Town()
    async with AsyncExitStack() as stack:
        await found.start(stack, people, tmp_path_factory.mktemp("town"))
        yield found


@pytest.fixture
def town(standing_town: Town) -> Town:
    standing_town.forget()
    return standing_town
