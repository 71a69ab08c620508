"""Missing copies: the best-ranked holder alone restores them, once the lost are gone for good."""

import asyncio
from pathlib import Path

import pytest

from tests.unit.upkeep.village import Node, Village, chunk

ONE, TWO = chunk(1), chunk(2)


async def one_is_lost(tmp_path: Path) -> tuple[Village, list[Node]]:
    """Five nodes, three of them with the chunk, and one of those is lost."""
    village = Village(tmp_path, 5)
    await village.store(ONE, *village.all[:3])
    village.all[0].up = False
    return village, village.all[1:]


async def copies(nodes: list[Node], chunk_id: bytes = ONE.id) -> int:
    return sum([await node.has(chunk_id) for node in nodes])


async def test_one_holder_restores_what_is_missing(tmp_path: Path) -> None:
    _, nodes = await one_is_lost(tmp_path)
    assert sum([await node.upkeep.shortage.look() for node in nodes]) == 1
    assert await copies(nodes) == 3
    assert [len(node.told.named("chunk.restored")) for node in nodes].count(1) == 1


async def test_all_at_once_they_restore_it_once(tmp_path: Path) -> None:
    village, nodes = await one_is_lost(tmp_path)
    village.pause = lambda: asyncio.sleep(0)
    given = await asyncio.gather(*(node.upkeep.shortage.look() for node in nodes))
    assert sum(given) == 1
    assert await copies(nodes) == 3


async def test_nothing_is_copied_while_the_lost_may_come_back(tmp_path: Path) -> None:
    village, nodes = await one_is_lost(tmp_path)
    village.settled = False
    assert sum([await node.upkeep.shortage.look() for node in nodes]) == 0
    village.settled = True
    assert sum([await node.upkeep.shortage.look() for node in nodes]) == 1


async def test_what_nothing_names_is_not_copied(tmp_path: Path) -> None:
    village, nodes = await one_is_lost(tmp_path)
    village.roots.live.clear()
    assert sum([await node.upkeep.shortage.look() for node in nodes]) == 0


async def test_nobody_is_asked_again_while_members_stay_the_same(tmp_path: Path) -> None:
    village, nodes = await one_is_lost(tmp_path)
    for node in nodes:
        await node.upkeep.shortage.look()
    for node in nodes:
        if await node.has(ONE.id):
            await node.store.trash(ONE.id, "by hand")
            break
    assert sum([await node.upkeep.shortage.look() for node in nodes]) == 0
    village.all[0].up = True
    assert sum([await node.upkeep.shortage.look() for node in nodes]) <= 1


async def test_a_copy_that_could_not_be_given_is_tried_again(tmp_path: Path) -> None:
    village = Village(tmp_path, 3)
    await village.store(ONE)
    village.all[0].up = False
    left = village.all[1:]
    assert [await node.upkeep.shortage.look() for node in left] == [0, 0]
    failed = sum(n for node in left for name, n in node.told.counts.items() if "restored" in name)
    assert failed == 1
    village.all[0].up = True
    await village.all[0].store.trash(ONE.id, "lost with its disk")
    given = [await node.upkeep.shortage.look() for node in left]
    assert sum(given) == 1


async def test_chunks_with_the_fewest_copies_come_first(tmp_path: Path) -> None:
    village = Village(tmp_path, 5)
    first = village.all[0]
    await village.store(ONE, first, village.all[1])
    await village.store(TWO, first)
    given: list[bytes] = []

    async def give(held: object, policy: object, holders: object) -> list[str]:
        given.append(held.chunk_id)  # type: ignore[attr-defined]
        return []

    for node in village.all[:2]:
        node.upkeep.shortage.giving.give = give  # type: ignore[method-assign]
        await node.upkeep.shortage.look()
    assert set(given) == {ONE.id, TWO.id}
    if len(given) == 2 and given.index(ONE.id) < given.index(TWO.id):
        pytest.fail("the chunk with one copy has to come first")
