"""The worker and its steward: credits, withdrawals, another steward, keepers that are away."""

import secrets

from nodeagent.config.model import Work
from tests.support.nodes import Running, until
from tests.working.workbench import bench

MIB = 1 << 20


async def test_a_worker_says_what_it_has_room_for(trio: list[Running]) -> None:
    objects = {f"{n}": secrets.token_bytes(MIB) for n in range(4)}
    async with bench(trio, objects, work=Work(slots=3)) as work:
        await until(lambda: work.steward.credits)
        assert work.steward.credits[0].slots == 3
        work.source.open_gate.clear()
        tasks = work.tasks()
        work.steward.give(*tasks[:2])
        await until(lambda: len(work.steward.credits[-1].running) == 2)
        assert work.steward.credits[-1].slots == 1
        work.source.open_gate.set()
        await work.done(2)
        await until(lambda: work.steward.credits[-1].slots == 3)


async def test_a_withdrawn_task_ends_and_gives_its_room_back(trio: list[Running]) -> None:
    async with bench(trio, {"a": b"data"}) as work:
        work.source.open_gate.clear()
        (task,) = work.tasks()
        work.steward.give(task)
        await until(lambda: work.source.reads)
        work.steward.withdraw(task.id)
        await until(lambda: not work.room.used_slots)
        await until(lambda: not work.steward.credits[-1].running)
        work.source.open_gate.set()
        assert not work.ledger.results()
        assert not work.steward.refused


async def test_work_goes_on_under_the_next_steward(trio: list[Running]) -> None:
    async with bench(trio, {"a": b"data"}) as work:
        work.source.open_gate.clear()
        (task,) = work.tasks()
        work.steward.give(task)
        await until(lambda: work.source.reads)
        work.header.steward = "s2"
        work.header.epoch += 1
        await until(lambda: work.steward.pulled[-1] == "s2")
        credits = len(work.steward.credits)
        await until(lambda: len(work.steward.credits) > credits)
        assert list(work.steward.credits[-1].running) == [task.id]
        work.source.open_gate.set()
        await work.done(1)
        assert work.source.reads == 1


async def test_a_result_waits_for_keepers_and_says_so(trio: list[Running]) -> None:
    async with bench(trio, {"a": b"data"}) as work:
        work.ledger.away = True
        work.steward.give(*work.tasks())

        def said() -> bool:
            waits = [wait for credit in work.steward.credits for wait in credit.waits]
            return any("keepers cannot be told" in wait for wait in waits)

        await until(said)
        work.ledger.away = False
        await work.done(1)


async def test_a_node_without_keys_works_on_nothing(trio: list[Running]) -> None:
    async with bench(trio, {"a": b"data"}, has_key=False) as work:
        async with bench(trio, {"a": b"data"}) as other:
            other.steward.give(*other.tasks())
            await other.done(1)
        assert not work.steward.pulled
