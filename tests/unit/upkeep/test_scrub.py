"""The scrub: finds rot in its window, gives way to traffic, keeps its rate and its place."""

from pathlib import Path

import pytest

from tests.unit.upkeep.village import DAY_S, HOUR_S, Options, Village, chunk


async def test_a_flipped_bit_is_found_when_the_chunk_is_due_and_not_before(tmp_path: Path) -> None:
    village = Village(tmp_path, 1)
    (node,) = village.all
    one = chunk(1)
    await village.store(one)
    node.store.spoil(one.id, 200)
    assert await node.upkeep.scrub.pass_once() == 0
    village.clock.now_s += HOUR_S
    assert await node.upkeep.scrub.pass_once() == 1
    assert [e.chunk_id for e in await node.store.evidence()] == [one.id]
    assert [event["chunk"] for event in node.told.named("chunk.damaged")] == [one.id.hex()]


async def test_every_chunk_is_read_within_seven_days_however_they_came(tmp_path: Path) -> None:
    village = Village(tmp_path, 1)
    (node,) = village.all
    oldest_s = 0.0
    for hour in range(24 * 9):
        if hour < 40:
            await village.store(chunk(hour))
        await node.upkeep.scrub.pass_once()
        oldest_s = max(oldest_s, node.upkeep.scrub.oldest_age_s())
        village.clock.now_s += HOUR_S
    assert node.upkeep.scrub.progress.chunks == 40
    assert 3 * DAY_S < oldest_s <= 6 * DAY_S


async def test_it_gives_way_to_traffic_until_the_window_is_in_danger(tmp_path: Path) -> None:
    village = Village(tmp_path, 1, Options(scrub_within_s=4 * HOUR_S))
    (node,) = village.all
    await village.store(chunk(1))
    village.clock.now_s += 3 * HOUR_S
    node.busy = True
    begun_s = village.clock()
    await node.upkeep.scrub.pass_once()  # Its waiting moves the clock.
    assert village.clock() - begun_s == pytest.approx(0.6 * HOUR_S, abs=1)
    assert node.upkeep.scrub.oldest_age_s() > 0


async def test_it_reads_no_faster_than_its_rate(tmp_path: Path) -> None:
    village = Village(tmp_path, 1, Options(scrub_bytes_per_s_max=5000))
    (node,) = village.all
    chunks = [chunk(n) for n in range(11)]
    for one in chunks:
        await village.store(one)
    village.clock.now_s += 2 * HOUR_S
    begun_s = village.clock()
    assert await node.upkeep.scrub.pass_once() == 11
    assert village.clock() - begun_s == pytest.approx(
        sum(len(one.file) for one in chunks[:10]) / 5000, rel=0.2
    )


async def test_an_operator_can_have_everything_read_now(tmp_path: Path) -> None:
    village = Village(tmp_path, 1)
    (node,) = village.all
    for number in range(3):
        await village.store(chunk(number))
    node.store.spoil(chunk(1).id, 200)
    assert await node.upkeep.scrub.everything() == 3
    assert len(await node.store.evidence()) == 1
    assert node.told.counts["mc.upkeep.scrubbed"] == sum(len(chunk(n).file) for n in (0, 2))
