"""Much at once on few chunks: whatever the order was, table and disk agree and nothing is lost."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from random import Random

import pytest

from multicloud.errors import McError
from nodeagent.store.contract import Pin
from nodeagent.store.local.store import LocalStore
from tests.support.disks import judge_folder
from tests.unit.store.local_world import LocalWorld
from tests.unit.store.store_world import JOB, bytes_of, chunk_of, ids_of, put

CHUNKS = [chunk_of(number) for number in range(4)]
DAY_S = 24 * 3600.0


async def allowed(call: Awaitable[object]) -> None:
    try:
        await call
    except McError as error:
        if error.reason not in ("NOT_FOUND", "PINNED"):
            raise


def work(store: LocalStore, rng: Random) -> Awaitable[object]:
    chunk = rng.choice(CHUNKS)
    pin = Pin(f"job-{rng.randrange(3)}")
    return rng.choice(
        [
            lambda: put(store, chunk, rng.choice([pin, None])),
            lambda: store.have([chunk.id], pin),
            lambda: store.trash(chunk.id, "no root"),
            lambda: store.trash(chunk.id, "no root"),
            lambda: store.purge(chunk.id),
            lambda: store.revive(chunk.id),
            lambda: store.verify(chunk.id),
            lambda: bytes_of(store, chunk),
            lambda: store.unpin(pin.holder),
        ]
    )()


@pytest.mark.parametrize("seed", range(4))
async def test_table_and_disk_agree_whatever_runs_at_once(tmp_path: Path, seed: int) -> None:
    world, rng = LocalWorld(tmp_path / "v"), Random(seed)
    for _ in range(3):
        async with world.open() as store:
            for _ in range(8):
                await asyncio.gather(*(allowed(work(store, rng)) for _ in range(16)))
                living = await ids_of(store.list())
                trash = {trashed.held.chunk_id for trashed in await store.trashed()}
                verdict = judge_folder(world.folder)
                assert sorted(verdict.living) == living
                assert set(verdict.trash) == trash
                assert not {*verdict.broken, *verdict.trash_broken, *verdict.unfinished}
                for chunk in CHUNKS:
                    if await store.pins(chunk.id):
                        assert chunk.id in living
                world.clock.now_s += rng.choice([1.0, 1.0, 2 * DAY_S])
    assert world.told == []


async def test_a_stale_chunk_that_is_put_and_trashed_at_once_is_not_lost(tmp_path: Path) -> None:
    """The put is answered with yes, so its bytes are among the living, whoever came second."""
    world, chunk = LocalWorld(tmp_path / "v"), CHUNKS[0]
    async with world.open() as store:
        for _ in range(20):
            await put(store, chunk, None)
            await store.trash(chunk.id, "older")
            await store.revive(chunk.id)
            world.clock.now_s += 2 * DAY_S
            await asyncio.gather(
                put(store, chunk, JOB),
                *(allowed(store.trash(chunk.id, "no root")) for _ in range(3)),
                *(allowed(store.have([chunk.id], JOB)) for _ in range(2)),
                *(allowed(store.read(chunk.id)) for _ in range(2)),
            )
            assert await ids_of(store.list()) == [chunk.id]
            assert await bytes_of(store, chunk) == chunk.file
            await store.unpin(JOB.holder)
    assert world.told == []
