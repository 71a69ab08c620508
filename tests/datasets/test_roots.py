"""What the versions keep alive, as the trash pass and its inspector are told."""

import time
from dataclasses import dataclass

import pytest

from multicloud.errors import McError
from nodeagent.council.contract import Register
from nodeagent.council.inmemory import InMemoryCouncil
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
