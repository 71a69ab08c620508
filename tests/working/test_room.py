"""What all tasks of a node share: slots and bytes, given in the order in which they are wanted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nodeagent.config.model import Work
from nodeagent.jobs.working.room import Room
from tests.support.nodes import until

MIB = 1 << 20


def room(slots: int = 2, bytes_max: int = 10 * MIB, unsafe_max: int = 4) -> Room:
    bounds = Work(slots=slots, bytes_max=bytes_max, unsafe_max=unsafe_max)
    return Room(lambda: bounds)


@asynccontextmanager
async def held(
    room: Room, group: asyncio.TaskGroup, size_bytes: int
) -> AsyncIterator[asyncio.Event]:
    """Somebody who has a place, or waits for one, until the block ends."""
    inside, leave = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with room.place(size_bytes):
            inside.set()
            await leave.wait()

    task = group.create_task(hold())
    await asyncio.sleep(0)
    try:
        yield inside
    finally:
        if inside.is_set():
            leave.set()
        else:
            task.cancel()
        await asyncio.wait({task})


async def test_slots_and_bytes_are_bounded_and_come_back() -> None:
    shared = room()
    async with asyncio.TaskGroup() as group:
        async with held(shared, group, 6 * MIB) as first, held(shared, group, 6 * MIB) as second:
            await first.wait()
            assert not second.is_set()
            said = f"1 tasks wait for room: {6 * MIB} of {10 * MIB} bytes are held"
            assert shared.waits() == [said]
        assert (shared.used_slots, shared.used_bytes, shared.waiting) == (0, 0, 0)


async def test_a_large_one_is_never_overtaken() -> None:
    shared = room(slots=3)
    async with asyncio.TaskGroup() as group:
        first = held(shared, group, 6 * MIB)
        await first.__aenter__()
        async with held(shared, group, 9 * MIB) as large, held(shared, group, MIB) as small:
            assert not small.is_set()
            await first.__aexit__(None, None, None)
            await until(large.is_set)
            await until(small.is_set)


async def test_whoever_asks_for_more_than_there_is_gets_all_of_it_alone() -> None:
    shared = room()
    async with shared.place(100 * MIB) as given:
        assert given == 10 * MIB


async def test_who_leaves_the_line_lets_the_next_one_in() -> None:
    shared = room()
    async with asyncio.TaskGroup() as group, held(shared, group, 6 * MIB):
        waiting = held(shared, group, 9 * MIB)
        await waiting.__aenter__()
        async with held(shared, group, MIB) as small:
            await waiting.__aexit__(None, None, None)
            await until(small.is_set)


async def test_jobs_share_the_slots_and_an_idle_one_keeps_none() -> None:
    shared = room(slots=4)
    assert shared.offer("a", running=0, useful=True) == 4
    assert shared.offer("b", running=0, useful=True) == 2
    assert shared.offer("a", running=1, useful=True) == 1
    assert shared.offer("b", running=0, useful=False) == 2
    assert shared.offer("a", running=1, useful=True) == 3
    shared.forget("a")
    assert shared.offer("b", running=0, useful=True) == 4


async def test_with_much_that_is_not_safe_no_new_task_is_taken() -> None:
    shared = room(unsafe_max=1)
    shared.unsafe = 1
    assert shared.offer("a", running=0, useful=True) == 0
    assert "wait for their last copies" in shared.waits()[0]
