"""Upkeep over real files: what is gone at a restart, and what rots on a disk, comes back from
another node; what its jobs gave up goes through trash and inspection.
"""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from nodeagent.store.local.store import LocalOptions, LocalStore
from nodeagent.store.volumes import Volumes
from tests.support.chunks import Chunk, seal
from tests.support.disks import fault_of
from tests.support.nodes import Place, Running, make_place, running, until
from tests.support.people import People

DAY_S = 86_400.0
pytestmark = pytest.mark.timeout(60)
ONE = seal(b"m" * 9000)


@asynccontextmanager
async def started(place: Place) -> AsyncIterator[Running]:
    folder = str(place.folder / "volume")
    store = await LocalStore.open(folder, node=place.id, options=LocalOptions("buffered", 1 << 20))
    async with running(place, Volumes([store])) as node:
        yield node


def file_of(node: Running, chunk: Chunk) -> Path:
    name = chunk.id.hex()
    return node.place.folder / "volume" / "chunks" / name[:2] / f"{name}.chunk"


async def stored(node: Running, chunk: Chunk) -> None:
    put = await node.node.data.store.put(len(chunk.file))
    await put.write(chunk.file)
    await put.commit(chunk.envelope(), None)


def know(*nodes: Running) -> bool:
    members = [node.node.view().members.values() for node in nodes]
    return all(len([m for m in known if m.facts]) == len(nodes) for known in members)


@pytest.fixture
async def other(people: People, tmp_path: Path) -> AsyncIterator[Running]:
    async with started(make_place(people, tmp_path, 1)) as node:
        await stored(node, ONE)
        yield node


async def test_a_file_that_is_gone_at_a_restart_is_had_again(
    people: People, tmp_path: Path, other: Running
) -> None:
    join = {"peers": [other.address], "greet_every_s": 0.2, "greet_timeout_s": 1.0}
    place = make_place(people, tmp_path, 2, {"join": join})
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(started(place))
        await stored(node, ONE)
        file = file_of(node, ONE)
    file.unlink()
    async with started(place) as node:
        await until(lambda: know(node, other))
        await until(file.exists)
        await until(lambda: node.node.upkeep.upkeep.damages.open == {})
        assert file.read_bytes() == ONE.file
        assert await node.node.data.store.evidence() == []


@pytest.mark.parametrize("harm", ["flip", "cut", "zeros", "another"])
async def test_what_became_of_a_file_is_found_kept_as_evidence_and_mended(
    people: People, tmp_path: Path, other: Running, harm: str
) -> None:
    join = {"peers": [other.address], "greet_every_s": 0.2, "greet_timeout_s": 1.0}
    async with started(make_place(people, tmp_path, 2, {"join": join})) as node:
        await stored(node, ONE)
        await until(lambda: know(node, other))
        file = file_of(node, ONE)
        data = bytearray(ONE.file)
        if harm == "flip":
            data[len(data) // 2] ^= 1
        elif harm == "cut":
            del data[-100:]
        elif harm == "zeros":
            data = bytearray(len(data))
        else:
            data = bytearray(seal(b"x" * 9000).file)
        file.write_bytes(data)
        node.node.upkeep.upkeep.scrub.hurry()
        await until(lambda: file.exists() and file.read_bytes() == ONE.file)
        await until(lambda: node.node.upkeep.upkeep.damages.open == {})
        (kept,) = (node.place.folder / "volume" / "quarantine").iterdir()
        assert fault_of(kept.read_bytes(), ONE.id) is not None
        assert file_of(other, ONE).read_bytes() == ONE.file


async def test_what_nothing_names_leaves_the_disk_a_day_later_and_what_is_named_comes_back(
    people: People, tmp_path: Path
) -> None:
    options = {"grace_s": 0, "trash_share_max": 1.0}
    async with started(make_place(people, tmp_path, 1, {"upkeep": options})) as node:
        two = seal(b"n" * 9000)
        for chunk in (ONE, two):
            await stored(node, chunk)
        live = node.place.state / "live-chunks"
        live.write_text("end 0\n")
        upkeep = node.node.upkeep.upkeep
        assert (await upkeep.collect.pass_once()).trashed.chunks == 2
        assert not file_of(node, ONE).exists()
        live.write_text(f"{two.id.hex()}\nend 1\n")
        inspected = await upkeep.inspector.pass_once()
        assert (inspected.purged, inspected.revived) == (0, 1)
        assert file_of(node, two).read_bytes() == two.file
        upkeep.inspector.clock_unix_s = lambda: time.time() + DAY_S
        assert (await upkeep.inspector.pass_once()).purged == 1
        left = [
            path for path in (node.place.folder / "volume").rglob("*") if ONE.id.hex() in path.name
        ]
        assert left == []
