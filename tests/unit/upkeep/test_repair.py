"""Repair: from a proven copy, at once; loud when there is none; evidence goes late or never."""

import asyncio
from pathlib import Path

from multicloud.errors import McError
from nodeagent.upkeep.rate import Rate
from tests.unit.upkeep.village import (
    DAY_S,
    HOUR_S,
    START_UNIX_S,
    THREE,
    Node,
    Options,
    Village,
    chunk,
)

ONE = chunk(1)


async def damaged(village: Village, node: Node) -> None:
    node.store.spoil(ONE.id, 200)
    await node.upkeep.scrub.everything()
    assert not await node.has(ONE.id)


async def mend(node: Node) -> bool:
    (damage,) = node.upkeep.damages.open.values()
    return await node.upkeep.repair.attempt(damage, Rate(lambda: 1e9))


async def test_a_damaged_chunk_is_had_again_from_a_member_that_proves_it(tmp_path: Path) -> None:
    village = Village(tmp_path, 3)
    first, second, _ = village.all
    await village.store(ONE)
    await damaged(village, first)
    assert first.reported == (1, 0)
    second.store.spoil(ONE.id, 300)  # Nobody knows of it yet.
    assert await mend(first)
    assert await first.has(ONE.id)
    assert first.reported == (0, 0)
    assert not await second.has(ONE.id), "who was asked to prove it found its own damage"
    assert len(await first.store.evidence()) == 1, "evidence stays"
    assert await mend(second)


async def test_the_repair_begins_by_itself_and_within_its_time(tmp_path: Path) -> None:
    village = Village(tmp_path, 2)
    first = village.all[0]
    await village.store(ONE)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(first.upkeep.repair.run())
        await damaged(village, first)
        await first.upkeep.repair.tried([ONE.id])
        assert await first.has(ONE.id)
        assert village.clock() == START_UNIX_S, "nothing was waited for"
        running.cancel()


async def test_while_no_place_is_free_nobody_turns_in_circles(tmp_path: Path) -> None:
    village = Village(tmp_path, 2, Options(repair_at_once_max=1))
    first = village.all[0]
    repair, looks, stuck = first.upkeep.repair, 0, asyncio.Event()
    for one in (ONE, chunk(2)):
        await village.store(one)
        first.store.spoil(one.id, 200)
    await first.upkeep.scrub.everything()
    for one in (ONE, chunk(2)):
        repair._due_s[one.id] = village.clock() - 1  # Each failed before, and is due again.

    def settings() -> Options:
        nonlocal looks
        looks += 1
        return village.options

    class Stuck:
        prove, promise = first.prove, first.promise

        async def push_here(self, node: str, chunk_id: bytes, job: str) -> None:
            await stuck.wait()

    repair.fellows, repair.settings = Stuck(), settings
    async with asyncio.TaskGroup() as group:
        running = group.create_task(repair.run())
        for _ in range(500):
            await asyncio.sleep(0)
        assert 0 < looks < 20
        running.cancel()


async def test_a_file_that_is_gone_is_repaired_like_a_damaged_one(tmp_path: Path) -> None:
    village = Village(tmp_path, 2)
    first = village.all[0]
    await village.store(ONE)
    first.store.lose(ONE.id)
    await first.upkeep.scrub.everything()
    assert await mend(first)
    assert await first.store.evidence() == []


async def test_a_chunk_without_any_good_copy_is_told_loudly_and_asked_for_again(
    tmp_path: Path,
) -> None:
    village = Village(tmp_path, 3)
    first, _, third = village.all
    await village.store(ONE, first, third)
    third.up = False
    await damaged(village, first)
    assert not await mend(first)
    assert first.reported == (1, 1)
    assert len(first.told.named("chunk.lost")) == 1
    assert not await mend(first)
    assert len(first.told.named("chunk.lost")) == 1, "said once"
    third.up = True
    assert await mend(first)
    assert first.reported == (0, 0)


async def test_who_has_just_started_and_knows_nobody_does_not_cry(tmp_path: Path) -> None:
    village = Village(tmp_path, 2)
    first, second = village.all
    await village.store(ONE, first)
    second.up = False
    async with asyncio.TaskGroup() as group:
        running = group.create_task(first.upkeep.repair.run())
        await damaged(village, first)
        await first.upkeep.repair.tried([ONE.id])
        assert first.reported == (1, 0)
        village.clock.now_s += 15
        await first.upkeep.repair.tried([ONE.id])
        assert first.reported == (1, 1)
        running.cancel()


async def test_a_copy_in_a_trash_is_brought_back_when_no_other_is_good(tmp_path: Path) -> None:
    village = Village(tmp_path, 2)
    first, second = village.all
    await village.store(ONE)
    assert await second.store.trash(ONE.id, "nothing names it")
    await damaged(village, first)
    assert await mend(first)
    assert await second.has(ONE.id)


async def test_what_nothing_names_any_more_is_not_mourned(tmp_path: Path) -> None:
    village = Village(tmp_path, 1)
    (node,) = village.all
    await village.store(ONE)
    await damaged(village, node)
    village.roots.unread = True
    assert not await mend(node), "not known is not needless"
    village.roots.unread = False
    del village.roots.live[ONE.id]
    assert await mend(node)
    assert node.reported == (0, 0)
    assert node.told.named("chunk.needless")


async def test_open_damage_survives_a_restart_also_when_nothing_is_left_of_the_file(
    tmp_path: Path,
) -> None:
    village = Village(tmp_path, 2)
    first = village.all[0]
    await village.store(ONE)
    first.store.lose(ONE.id)
    await first.upkeep.scrub.everything()
    await first.upkeep.damages.save()
    again = Node(village, first.id, "a", tmp_path)
    await again.upkeep.repair.load()
    assert again.reported == (1, 0)
    assert await mend(again)
    await again.upkeep.damages.save()
    last = Node(village, first.id, "a", tmp_path)
    await last.upkeep.repair.load()
    assert not last.upkeep.damages.open


async def test_a_list_of_damage_that_does_not_read_stops_nothing(tmp_path: Path) -> None:
    village = Village(tmp_path, 2)
    first = village.all[0]
    (tmp_path / first.id / "damages.json").write_text("[{")
    await village.store(ONE)
    await first.upkeep.repair.load()
    assert "does not hold a list" in first.upkeep.repair.trouble
    await damaged(village, first)
    assert await mend(first)


async def test_evidence_goes_after_a_day_and_only_with_three_proven_copies(tmp_path: Path) -> None:
    village = Village(tmp_path, 3)
    first, _, third = village.all
    await village.store(ONE)
    await damaged(village, first)
    await mend(first)
    evidence = first.upkeep.evidence
    assert await evidence.pass_once() == 0
    village.clock.now_s += DAY_S
    third.up = False
    assert await evidence.pass_once() == 0, "a copy is not proven"
    third.up = True
    assert await evidence.pass_once() == 1
    assert await first.store.evidence() == []


async def test_a_source_that_fails_is_passed_over(tmp_path: Path) -> None:
    village = Village(tmp_path, 3)
    first, second, third = village.all
    await village.store(ONE)
    await damaged(village, first)
    pushed = first.push_here
    asked = []

    class Picky:
        prove, promise = first.prove, first.promise

        async def push_here(self, node: str, chunk_id: bytes, job: str) -> None:
            asked.append(node)
            if node == second.id:
                raise McError("TOO_BUSY", "later")
            await pushed(node, chunk_id, job)

    first.upkeep.repair.fellows = Picky()
    assert await mend(first)
    assert asked == [second.id, third.id]


async def test_attempts_come_less_and_less_often(tmp_path: Path) -> None:
    village = Village(tmp_path, 1)
    (node,) = village.all
    await village.store(ONE, live=THREE)
    await damaged(village, node)
    for _ in range(12):
        await mend(node)
    due_s = node.upkeep.repair._due_s[ONE.id] - village.clock()
    assert 0 <= due_s <= HOUR_S
    assert node.upkeep.repair._ready() == [] or due_s == 0
