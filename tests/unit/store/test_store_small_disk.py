"""Real small disks: full to the last byte, and out of inodes. Needs root, for mounting a tmpfs."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from multicloud.errors import McError
from nodeagent.store.contract import VolumeState
from tests.support.chunks import Chunk
from tests.unit.store.local_world import LocalWorld
from tests.unit.store.store_world import JOB, bytes_of, chunk_of, large_chunk, put, reason_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting a tmpfs needs root"),
]


@pytest.fixture
def mount(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    where = tmp_path / "disk"
    where.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", request.param, "tmpfs", str(where)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted here")
    yield where
    subprocess.run(["umount", str(where)], check=True)


def remount(where: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(where)], check=True)


@pytest.mark.parametrize("mount", ["size=48m"], indirect=True)
async def test_a_disk_filled_by_others_refuses_puts_and_recovers(mount: Path) -> None:
    world = LocalWorld(mount / "v")
    async with world.open() as store:
        old, new = large_chunk(8 << 20), large_chunk(8 << 20)
        await put(store, old, None)
        health = store.health()
        assert 0 < health.bytes_free < 48 << 20
        writing = await store.put(len(new.file))
        filler = mount / "filler"
        with pytest.raises(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 20))
        assert await reason_of(store.put(len(new.file))) == "NO_ROOM"
        assert store.health().state is VolumeState.FULL
        await writing.write(new.file)  # Its room was reserved before.
        assert await bytes_of(store, old) == old.file
        await writing.abort()
        assert await store.trash(old.id, "no root")
        assert await store.purge(old.id) == len(old.file)
        filler.unlink()
        await put(store, new)
        assert store.health().state is VolumeState.HEALTHY
        assert await bytes_of(store, new) == new.file


@pytest.mark.parametrize("mount", ["size=64m,nr_inodes=320"], indirect=True)
async def test_a_disk_without_inodes_refuses_puts_and_recovers(mount: Path) -> None:
    world = LocalWorld(mount / "v")
    async with world.open() as store:
        stored: list[Chunk] = []
        with pytest.raises(McError) as caught:
            for number in range(200):
                await put(store, chunk_of(number, 1), None)
                stored.append(chunk_of(number, 1))
        assert caught.value.reason == "NO_ROOM"
        assert len(stored) > 10
        assert "inodes" in store.health().why
        for chunk in stored:
            assert await bytes_of(store, chunk) == chunk.file
        for chunk in stored[:10]:
            await store.trash(chunk.id, "no root")
            await store.purge(chunk.id)
        await put(store, chunk_of(999))


@pytest.mark.parametrize("mount", ["size=64m"], indirect=True)
async def test_a_disk_that_is_remounted_read_only_still_serves(mount: Path) -> None:
    world = LocalWorld(mount / "v")
    chunk = chunk_of(1)
    async with world.open() as store:
        await put(store, chunk)
    remount(mount, "ro")
    async with world.open() as store:
        assert await bytes_of(store, chunk) == chunk.file
        assert await reason_of(put(store, chunk_of(2))) == "VOLUME_READ_ONLY"
        assert store.health().state is VolumeState.READ_ONLY
        assert [pin.holder for pin in await store.pins(chunk.id)] == [JOB.holder]
    remount(mount, "rw")
    async with world.open() as store:
        await put(store, chunk_of(2))
