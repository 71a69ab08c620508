"""What the versions keep alive, as the trash pass and its inspector are told."""

import asyncio
import time
from dataclasses import dataclass

import pytest

from multicloud.errors import McError
from multicloud.v1 import chunk_pb2
from nodeagent.council.contract import Register
from nodeagent.council.inmemory import InMemoryCouncil
from nodeagent.jobs.datasets.making import Datasets
from nodeagent.jobs.datasets.naming import AskedRoots, NamingService
from nodeagent.jobs.datasets.roots import VersionRoots
from nodeagent.jobs.datasets.versions import RESTORE_WITHIN_S, Versions
from tests.datasets.shelf import Shelf

DAY_LATER_S = RESTORE_WITHIN_S + 60


def roots(trio: Shelf, later_s: float = 0.0) -> VersionRoots:
    """As they are at another time."""
    mine = trio.datasets(0)

    def clock_unix_s() -> float:
        return time.time() + later_s

    return VersionRoots(Versions(mine.council, clock_unix_s), mine.reading, clock_unix_s)


async def test_a_version_names_its_chunks_and_its_manifest_until_a_day_after_its_end(
    trio: Shelf,
) -> None:
    record = await trio.put("kept", "1", {b"x": [b"x" * 10, b"y" * 10]})
    mine = {*trio.chunks["kept@1"], *(ref.id for ref in record.manifest)}
    live = await roots(trio).read()
    assert live
    assert mine <= set(live.chunks)
    assert {live.chunks[one].replicas for one in mine} == {3}
    await trio.datasets(0).service.removing.remove("kept", "1", "rm-kept", shred=False)
    for later_s, stays in ((0.0, True), (DAY_LATER_S, False)):
        live = await roots(trio, later_s).read()
        assert live
        assert (mine & set(live.chunks) == mine) is stays
        named, _ = await roots(trio, later_s).names(mine)
        assert set(named.values()) == {stays}


async def test_whoever_mends_a_chunk_knows_the_trace_of_its_writing(trio: Shelf) -> None:
    record = await trio.put("traced", "1", {b"x": [b"x" * 10, b"y" * 10]})
    read = roots(trio)
    assert read.trace_of(trio.chunks["traced@1"][0]) == ""
    await read.read()
    for chunk_id in trio.chunks["traced@1"]:
        assert read.trace_of(chunk_id) == f"00-{'ab' * 16}-{'cd' * 8}-00"
    assert read.trace_of(record.manifest[0].id) == ""


async def test_what_is_shredded_is_not_kept_for_a_day(trio: Shelf) -> None:
    await trio.put("shredded", "1", {b"x": [b"x"]})
    await trio.datasets(0).service.removing.remove("shredded", "1", "rm-it", shred=True)
    live = await roots(trio).read()
    assert live
    assert not set(trio.chunks["shredded@1"]) & set(live.chunks)


async def test_versions_that_share_a_key_are_not_shredded_one_by_one(trio: Shelf) -> None:
    await trio.put("pair", "1", {b"x": [b"1"]})
    await trio.put("pair", "2", {b"x": [b"2"]})
    removing = trio.datasets(0).service.removing
    with pytest.raises(McError, match="shares its key with version 1"):
        await removing.remove("pair", "2", "shred-2", shred=True)
    await removing.remove("pair", "1", "rm-1", shred=False)
    await removing.remove("pair", "2", "shred-2", shred=True)
    first = await trio.datasets(0).versions.find("pair", "1", removed=True)
    assert first.shredded


async def test_a_chunk_that_only_this_version_names_is_what_removing_frees(trio: Shelf) -> None:
    record = await trio.put("freed", "1", {b"x": [b"x" * 10, b"y" * 10]})
    freed = await trio.datasets(0).service.removing.frees("freed", "1")
    assert freed.chunks == 2 + len(record.manifest)


@dataclass
class Alone:
    """A council that this node does not reach; its copy is there."""

    of: object

    async def get(self, key: str) -> Register:
        raise McError("NO_MAJORITY", "two of three members are away")

    def list(self, prefix: str = "") -> object:
        return self.of.list(prefix)  # type: ignore[attr-defined]


async def test_a_node_without_a_majority_names_nothing_and_so_deletes_nothing(
    trio: Shelf,
) -> None:
    mine = trio.datasets(0)
    alone = VersionRoots(Versions(Alone(mine.council)), mine.reading)  # type: ignore[arg-type]
    for asked in (alone.read(), alone.names([bytes(32)])):
        with pytest.raises(McError) as away:
            await asked
        assert away.value.reason == "NO_MAJORITY"


async def test_while_nobody_has_made_a_version_nothing_is_said(trio: Shelf) -> None:
    empty = VersionRoots(Versions(InMemoryCouncil()), trio.datasets(0).reading)
    assert await empty.read() is None


def without_keys(trio: Shelf) -> AskedRoots:
    """Node 3, as if it only stored."""
    one, node = trio.datasets(2), trio.nodes[2].node
    return AskedRoots(Versions(one.council), node.data.store, node.upkeep.members, node.data.client)


async def test_a_node_without_keys_is_told_what_is_live_and_may_collect_the_rest(
    trio: Shelf,
) -> None:
    record = await trio.put("told", "1", {b"x": [b"z" * 10]})
    mine = {*trio.chunks["told@1"], *(ref.id for ref in record.manifest)}
    asked = without_keys(trio)
    async with asyncio.timeout(10):
        # Whoever is asked answers by its copy of the decisions, which may be a moment old.
        while not ((live := await asked.read()) and mine <= set(live.chunks)):
            await asyncio.sleep(0.05)
    known = await roots(trio).read()
    assert known
    assert {one: known.chunks[one] for one in live.chunks} == live.chunks
    assert live.in_all == len(known.chunks)
    named, as_of_unix_s = await asked.names([*mine, bytes(32)])
    assert named == {**dict.fromkeys(mine, True), bytes(32): False}
    assert as_of_unix_s <= time.time()


async def test_only_a_node_without_keys_asks_others(trio: Shelf) -> None:
    one, node = trio.datasets(2), trio.nodes[2].node
    parts = one.council, one.ground, one.client, one.store, node.upkeep.members
    assert isinstance(Datasets(*parts, {}).roots, AskedRoots)
    assert isinstance(Datasets(*parts, one.cluster_keys).roots, VersionRoots)


async def test_a_node_without_keys_that_nobody_tells_anything_deletes_nothing(trio: Shelf) -> None:
    await trio.put("untold", "1", {b"x": [b"u" * 10]})
    asked = without_keys(trio)

    class Nobody:
        async def name(self, node: str, ids: object, **how: bool) -> chunk_pb2.NameChunksResponse:
            raise McError("KEY_MISSING", "this node only stores")

    asked.asking = Nobody()
    with pytest.raises(McError, match="this node has no keys, and nobody told it"):
        await asked.read()
    with pytest.raises(McError, match="this node only stores"):
        await asked.names([bytes(32)])


async def test_what_a_node_without_keys_asks_another_one_without_is_refused(trio: Shelf) -> None:
    class Keyless:
        async def read(self, *, anew: bool = True) -> None:
            raise McError("KEY_MISSING", "this node only stores")

    naming = NamingService(Keyless())  # type: ignore[arg-type]
    with pytest.raises(McError, match="only stores"):
        await naming.name_chunks(chunk_pb2.NameChunksRequest(), None)  # type: ignore[arg-type]
