"""Surplus copies: only the worst-ranked go, only themselves, only with promises and proofs."""

import asyncio
from pathlib import Path

from nodeagent.core.upkeep_surplus import better
from nodeagent.store.contract import Pin
from tests.unit.upkeep.village import DAY_S, HOUR_S, THREE, Node, Village, chunk

ONE = chunk(1)


async def too_many(tmp_path: Path, count: int = 5) -> tuple[Village, list[Node]]:
    """Every node has the chunk; the nodes by rank, the best first."""
    village = Village(tmp_path, count)
    await village.store(ONE)
    village.clock.now_s += 2 * HOUR_S
    return village, ranked(village)


def ranked(village: Village) -> list[Node]:
    sites = [node.own for node in village.all]
    return sorted(village.all, key=lambda node: len(better(ONE.id, node.id, sites)))


async def test_the_worst_ranked_trim_themselves_and_the_rest_stay(tmp_path: Path) -> None:
    _, nodes = await too_many(tmp_path)
    assert [await node.upkeep.surplus.pass_once() for node in nodes] == [0, 0, 0, 1, 1]
    assert [await node.has(ONE.id) for node in nodes] == [True] * 3 + [False] * 2
    promises = {pin.holder for pin in await nodes[0].store.pins(ONE.id)}
    assert promises == {f"promise/{nodes[3].id}", f"promise/{nodes[4].id}"}


async def test_all_at_once_they_still_keep_enough(tmp_path: Path) -> None:
    village, nodes = await too_many(tmp_path)
    village.pause = lambda: asyncio.sleep(0)
    await asyncio.gather(*(node.upkeep.surplus.pass_once() for node in nodes))
    assert [await node.has(ONE.id) for node in nodes] == [True] * 3 + [False] * 2


async def test_a_bad_copy_a_silent_node_or_a_draining_one_keeps_nothing(tmp_path: Path) -> None:
    village, nodes = await too_many(tmp_path, 4)
    worst = nodes[3]
    nodes[0].up = False
    assert await worst.upkeep.surplus.pass_once() == 0
    nodes[0].up, nodes[0].draining = True, True
    assert await worst.upkeep.surplus.pass_once() == 0
    nodes[0].draining = False
    nodes[1].store.spoil(ONE.id, 200)
    assert await worst.upkeep.surplus.pass_once() == 0
    assert await worst.has(ONE.id)
    await village.store(ONE, nodes[1])
    assert await worst.upkeep.surplus.pass_once() == 1


async def test_while_much_is_lost_at_once_nothing_is_trimmed(tmp_path: Path) -> None:
    village, nodes = await too_many(tmp_path, 4)
    village.frozen = True
    assert await nodes[3].upkeep.surplus.pass_once() == 0
    village.frozen = False
    assert await nodes[3].upkeep.surplus.pass_once() == 1


async def test_pinned_unnamed_or_young_copies_are_not_trimmed(tmp_path: Path) -> None:
    village, nodes = await too_many(tmp_path, 4)
    worst = nodes[3]
    await worst.store.have([ONE.id], Pin("job-1"))
    assert await worst.upkeep.surplus.pass_once() == 0
    await worst.store.unpin("job-1")
    del village.roots.live[ONE.id]
    assert await worst.upkeep.surplus.pass_once() == 0
    village.roots.live[ONE.id] = THREE
    worst.options.grace_s = DAY_S
    assert await worst.upkeep.surplus.pass_once() == 0


async def test_a_trimmed_copy_is_unlinked_only_when_it_would_be_trimmed_again(
    tmp_path: Path,
) -> None:
    village, nodes = await too_many(tmp_path, 4)
    worst, inspector = nodes[3], nodes[3].upkeep.inspector
    assert await worst.upkeep.surplus.pass_once() == 1
    assert (await inspector.pass_once()).revived == 0, "something names it, and that is no mistake"
    village.clock.now_s += DAY_S
    nodes[0].up = False
    assert (await inspector.pass_once()).revived == 1
    nodes[0].up = True
    assert await worst.upkeep.surplus.pass_once() == 1
    village.clock.now_s += DAY_S
    assert (await inspector.pass_once()).purged == 1
    assert not await worst.keeps_file(ONE.id)


async def test_where_too_few_rank_better_nobody_is_asked(tmp_path: Path) -> None:
    village, nodes = await too_many(tmp_path, 4)
    asked = 0

    async def count() -> None:
        nonlocal asked
        asked += 1

    village.pause = count
    for node in nodes[:3]:
        await node.upkeep.surplus.pass_once()
    assert asked == 0
