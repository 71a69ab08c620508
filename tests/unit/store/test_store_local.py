"""The store on a real disk keeps every promise of the contract, in both ways of writing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nodeagent.store.local.store import LocalOptions, LocalStore
from tests.unit.store.conformance import Conformance
from tests.unit.store.local_world import OPTIONS, QuietDisk, path_of, spoil
from tests.unit.store.store_world import Clock, World


class LocalConformance(Conformance):
    options = OPTIONS

    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator[World]:
        clock = Clock()

        async def opened() -> LocalStore:
            return await LocalStore.open(
                str(tmp_path / "v"),
                node="node-1",
                options=self.options,
                files=QuietDisk(),
                clock=clock,
            )

        async def reopen() -> LocalStore:
            await world.store.close()
            return await opened()

        world = World(
            await opened(),
            clock,
            lambda chunk_id, offset: spoil(path_of(tmp_path / "v", chunk_id), offset),
            lambda chunk_id: path_of(tmp_path / "v", chunk_id).unlink(),
            reopen,
        )
        yield world
        await world.store.close()


class TestLocalStoreBuffered(LocalConformance):
    pass


class TestLocalStoreDirect(LocalConformance):
    options = LocalOptions(write="direct", reserve_bytes=0, direct_bytes_min=0)
