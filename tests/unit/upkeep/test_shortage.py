"""Missing copies: the best-ranked holder alone restores them, once the lost are gone for good."""

import asyncio
from pathlib import Path

import pytest

from nodeagent.store.contract import Pin
from nodeagent.store.memory import MemoryStore
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


async def test_nobody_is_asked_while_nothing_changes(tmp_path: Path) -> None:
    village, nodes = await one_is_lost(tmp_path)
    for _ in range(3):
        for node in nodes:
            await node.upkeep.shortage.look()
    asked = 0

    async def count() -> None:
        nonlocal asked
        asked += 1

    village.pause = count
    for node in nodes:
        assert await node.upkeep.shortage.look() == 0
    assert asked == 0


async def looks(village: Village, count: int = 3) -> int:
    """How many chunks were given copies when everybody looked a few times."""
    return sum([await n.upkeep.shortage.look() for _ in range(count) for n in village.all if n.up])


@pytest.mark.parametrize("what", ["emptied", "other disk", "gave one up"])
async def test_a_node_that_comes_back_with_less_is_noticed_at_once(
    tmp_path: Path, what: str
) -> None:
    village = Village(tmp_path, 5)
    await village.store(ONE, *village.all[:3])
    assert await looks(village) == 0
    back = village.all[1]
    if what == "other disk":
        back.store = MemoryStore("another", clock=village.clock)
    else:
        back.store.lose(ONE.id)
        if what == "emptied":
            back.generation += 1
        else:
            back.upkeep.census.dropped += 1
    assert await looks(village) == 1
    assert await copies(village.all) == 3


async def test_what_a_returning_node_still_has_is_not_copied_again(tmp_path: Path) -> None:
    village = Village(tmp_path, 5)
    await village.store(ONE, *village.all[:3])
    assert await looks(village) == 0
    away = village.all[0]
    village.settled, away.up = False, False
    assert await looks(village) == 0
    away.up, away.generation = True, 2
    assert await looks(village) == 0
    assert await copies(village.all) == 3


async def test_the_last_copy_is_not_left_waiting_for_who_may_come_back(tmp_path: Path) -> None:
    village = Village(tmp_path, 5)
    await village.store(ONE, *village.all[:3])
    assert await looks(village) == 0
    village.settled = False
    village.all[0].up = False
    assert await looks(village) == 0, "two are left, and it may come back"
    village.all[1].up = False
    assert await looks(village) == 1
    assert await copies([n for n in village.all if n.up]) == 3


@pytest.mark.parametrize("state", ["frozen", "just begun"])
async def test_nothing_is_copied_in_a_freeze_or_by_who_has_just_begun(
    tmp_path: Path, state: str
) -> None:
    village, _ = await one_is_lost(tmp_path)
    village.frozen, village.begun = state == "frozen", state != "just begun"
    assert await looks(village) == 0
    village.frozen, village.begun = False, True
    assert await looks(village) == 1


async def test_a_node_that_is_emptied_is_a_source_and_no_copy(tmp_path: Path) -> None:
    village = Village(tmp_path, 5)
    await village.store(ONE, *village.all[:3])
    leaving = village.all[0]
    leaving.draining = True
    assert await looks(village) == 1
    assert await copies(village.all) == 4
    await leaving.upkeep.leaving.look()
    left = leaving.upkeep.leaving.left(leaving.upkeep.census.counted())
    assert left is not None
    assert left.done
    counted = [node.upkeep.census.counted() for node in village.all]
    assert sum(one.debt_chunks for one in counted) == 0
    assert [one.by_copies for one in counted if one.by_copies] == [{4: 1}]


async def test_a_node_is_not_emptied_before_copies_elsewhere_are_proven(tmp_path: Path) -> None:
    village = Village(tmp_path, 3)
    await village.store(ONE)
    leaving = village.all[0]
    leaving.draining = True
    assert await looks(village) == 0, "nobody is left to take a copy"
    await leaving.upkeep.leaving.look()
    left = leaving.upkeep.leaving.left(leaving.upkeep.census.counted())
    assert left is not None
    assert (left.chunks, left.done) == (1, False)


async def test_a_node_is_not_emptied_by_a_copy_that_turns_out_bad(tmp_path: Path) -> None:
    village = Village(tmp_path, 4)
    await village.store(ONE)
    leaving = village.all[0]
    assert await looks(village) == 0
    village.all[2].store.spoil(ONE.id, 200)
    leaving.draining = True
    await leaving.upkeep.shortage.look()
    await leaving.upkeep.leaving.look()
    left = leaving.upkeep.leaving.left(leaving.upkeep.census.counted())
    assert left is not None
    assert not left.done


async def test_chunks_of_running_jobs_keep_a_node(tmp_path: Path) -> None:
    village = Village(tmp_path, 4)
    leaving = village.all[0]
    await leaving.take(ONE, Pin("job-1"))
    leaving.draining = True
    await leaving.upkeep.shortage.look()
    await leaving.upkeep.leaving.look()
    left = leaving.upkeep.leaving.left(leaving.upkeep.census.counted())
    assert left is not None
    assert not left.done
    assert left.waits == ("chunks of jobs that have not ended lie here: 1",)
    leaving.upkeep.leaving.has_ended = "job-1".__eq__
    await leaving.upkeep.leaving.look()
    left = leaving.upkeep.leaving.left(leaving.upkeep.census.counted())
    assert left is not None
    assert left.done


async def test_each_chunk_is_counted_once_with_the_copies_that_are_here(tmp_path: Path) -> None:
    village = Village(tmp_path, 5)
    await village.store(ONE, *village.all[:3])
    await village.store(TWO, *village.all[1:4])
    village.settled = False
    assert await looks(village) == 0
    village.all[0].up = False
    village.clock.now_s += 7.0
    here = village.all[1:]
    assert await looks(village) == 0
    counted = [node.upkeep.census.counted() for node in here]
    summed: dict[int, int] = {}
    for one in counted:
        for n, chunks in one.by_copies.items():
            summed[n] = summed.get(n, 0) + chunks
    assert summed == {2: 1, 3: 1}
    assert sum(one.debt_chunks for one in counted) == 1
    village.clock.now_s += 5.0
    assert max(node.upkeep.census.counted().debt_oldest_s for node in here) == pytest.approx(5.0)


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
