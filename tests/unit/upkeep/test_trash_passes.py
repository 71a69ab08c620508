"""Trash: what nothing names goes there, never much at once, comes back when it was a mistake, and
is unlinked only by an inspector who knows more than whoever put it there.
"""

from pathlib import Path

from nodeagent.store.contract import Pin
from nodeagent.upkeep.collect import FROZEN, NOBODY_SAID
from tests.unit.upkeep.village import DAY_S, HOUR_S, Node, Options, Village, chunk

TEN = [chunk(n) for n in range(10)]
ALL_MAY_GO = Options(trash_share_max=1.0)


async def filled(tmp_path: Path, options: Options | None = None) -> tuple[Village, Node]:
    """One node with ten chunks that something names, old enough to be looked at."""
    village = Village(tmp_path, 1, options)
    (node,) = village.all
    for one in TEN:
        await village.store(one)
    village.clock.now_s += HOUR_S
    return village, node


async def test_what_nothing_names_goes_to_the_trash_and_a_day_later_for_good(
    tmp_path: Path,
) -> None:
    village, node = await filled(tmp_path)
    del village.roots.live[TEN[0].id]
    done = await node.upkeep.collect.pass_once()
    assert done.trashed.chunks == 1
    assert not await node.has(TEN[0].id)
    assert (await node.upkeep.inspector.pass_once()).purged == 0
    village.clock.now_s += DAY_S - 1
    assert (await node.upkeep.inspector.pass_once()).purged == 0
    village.clock.now_s += 1
    inspected = await node.upkeep.inspector.pass_once()
    assert (inspected.purged, inspected.bytes_freed) == (1, len(TEN[0].file))
    assert not await node.keeps_file(TEN[0].id)


async def test_while_nobody_has_said_what_is_live_nothing_goes(tmp_path: Path) -> None:
    village, node = await filled(tmp_path, ALL_MAY_GO)
    village.roots.said = False
    assert (await node.upkeep.collect.pass_once(asked=True)).why == NOBODY_SAID
    village.roots.unread = True
    assert "does not answer" in (await node.upkeep.collect.pass_once(asked=True)).why
    assert await node.store.trashed() == []


async def test_while_much_is_lost_at_once_nothing_goes_also_when_asked(tmp_path: Path) -> None:
    village, node = await filled(tmp_path, ALL_MAY_GO)
    village.roots.live.clear()
    village.frozen = True
    assert (await node.upkeep.collect.pass_once(asked=True)).why == FROZEN
    village.frozen = False
    assert (await node.upkeep.collect.pass_once(asked=True)).trashed.chunks == len(TEN)
    village.clock.now_s += DAY_S
    village.frozen = True
    assert (await node.upkeep.inspector.pass_once()).purged == 0
    village.frozen = False
    assert (await node.upkeep.inspector.pass_once()).purged == len(TEN)


async def test_too_much_is_held_back_and_told_until_somebody_confirms_it(tmp_path: Path) -> None:
    village, node = await filled(tmp_path)
    village.roots.live.clear()
    for _ in range(2):
        done = await node.upkeep.collect.pass_once()
        assert done.held_back.chunks == 10
        assert done.trashed.chunks == 0
    assert len(node.told.named("trash.held_back")) == 1
    assert (await node.upkeep.collect.pass_once(asked=True)).trashed.chunks == 10


async def test_pinned_and_young_chunks_stay(tmp_path: Path) -> None:
    village, node = await filled(tmp_path, ALL_MAY_GO)
    village.roots.live.clear()
    pin = Pin("job-1")
    await node.store.have([TEN[0].id], pin)
    young = chunk(77)
    await village.store(young, live=None)
    assert (await node.upkeep.collect.pass_once()).trashed.chunks == 9
    assert await node.has(TEN[0].id)
    assert await node.has(young.id)


async def test_what_a_late_manifest_names_comes_back(tmp_path: Path) -> None:
    village, node = await filled(tmp_path)
    policy = village.roots.live.pop(TEN[0].id)
    await node.upkeep.collect.pass_once()
    village.roots.live[TEN[0].id] = policy
    assert (await node.upkeep.inspector.pass_once()).revived == 1
    assert await node.has(TEN[0].id)
    assert node.told.named("trash.revived")


async def test_without_fresh_knowledge_nothing_is_unlinked(tmp_path: Path) -> None:
    village, node = await filled(tmp_path)
    del village.roots.live[TEN[0].id]
    await node.upkeep.collect.pass_once()
    village.clock.now_s += 30 * DAY_S
    village.roots.unread = True
    inspected = await node.upkeep.inspector.pass_once()
    assert inspected.purged == 0
    assert "does not answer" in inspected.why
    village.roots.unread = False
    old_answer_s = village.clock() - 31 * DAY_S

    class Old:
        async def names(self, ids: list[bytes]) -> tuple[dict[bytes, bool], float]:
            return dict.fromkeys(ids, False), old_answer_s

    node.upkeep.inspector.witness = Old()
    assert (await node.upkeep.inspector.pass_once()).purged == 0, "it is older than the trashing"


async def test_a_pin_that_comes_at_the_last_moment_wins(tmp_path: Path) -> None:
    village, node = await filled(tmp_path)
    del village.roots.live[TEN[0].id]
    await node.upkeep.collect.pass_once()
    village.clock.now_s += 2 * DAY_S
    trashed, store = node.store.trashed, node.store
    looks = 0

    class Racing:
        """Another job takes the chunk right after the inspector's last look."""

        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        async def trashed(self) -> object:
            nonlocal looks
            looks += 1
            found = await trashed()
            if looks == 2:
                await store.have([TEN[0].id], Pin("job-2"))
            return found

    node.upkeep.inspector.chunks = Racing()
    assert (await node.upkeep.inspector.pass_once()).purged == 0
    assert await node.has(TEN[0].id)
