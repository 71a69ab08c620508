"""Everybody decides at once, while members die and come back: registers keep their promises, and
all copies become one after a cut.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from multicloud.errors import McError
from tests.council.town import Town, town
from tests.sim.council.history import Seen, violations
from tests.support.people import People

KEYS = ("name/a", "job/b")
OPERATIONS = 60


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("authority"))


@dataclass
class Client:
    """Changes and reads registers; asks again with the same id until it knows how it ended."""

    made: Town
    number: int
    rng: Random
    history: list[Seen]
    versions: dict[str, int] = field(default_factory=dict)

    async def run(self, over: Callable[[], bool]) -> None:
        clock_s, count = asyncio.get_running_loop().time, 0
        while not over():
            count += 1
            await self.act(f"c{self.number}-{count}", clock_s)
            await asyncio.sleep(self.rng.uniform(0, 0.05))

    async def act(self, wish: str, clock_s: Callable[[], float]) -> None:
        key, begun_s = self.rng.choice(KEYS), clock_s()
        expected = self.versions.get(key, 0)
        reads = self.rng.random() < 0.3
        while True:
            number = self.rng.choice([*self.made.up])  # Whoever runs; another one at each try.
            council = self.made.council(number)
            try:
                if reads:
                    read = await council.get(key)
                    seen = Seen(key, begun_s, clock_s(), read.version, read.value, False)
                else:
                    told = await council.compare_and_set(key, expected, wish.encode(), wish)
                    ended = (clock_s(), told.version, told.value, told.changed)
                    seen = Seen(key, begun_s, *ended, wish)
            except McError as error:
                if error.reason not in ("NO_MAJORITY", "DEADLINE", "DRAINING"):
                    raise
                await asyncio.sleep(0.05)
                continue
            self.history.append(seen)
            self.versions[key] = max(seen.version, self.versions.get(key, 0))
            return


async def test_registers_keep_their_promises_while_members_die_join_and_lose_their_disks(
    people: People, tmp_path: Path
) -> None:
    more = {
        "council.call_s": "0.5",
        "council.decide_s": "2.0",
        "limits.control_calls_burst": "9999",
        "limits.control_calls_per_s": "9999",
    }
    async with town(people, tmp_path, (1, 2, 3), **more) as made:
        await made.until(lambda: made.agreed(3))
        history: list[Seen] = []
        calm = asyncio.Event()

        def over() -> bool:
            return calm.is_set() and len(history) >= OPERATIONS

        clients = [Client(made, number, Random(number), history) for number in range(4)]
        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(client.run(over))
            await asyncio.sleep(0.5)
            await made.start(4, 5)  # They decide, and become members.
            await made.stop(2)
            await asyncio.sleep(0.5)
            made.wipe(2)
            await made.start(2)
            await asyncio.sleep(0.5)
            await made.stop(3)
            await asyncio.sleep(0.5)
            await made.start(3)
            calm.set()
        assert violations(history) == []
        assert sum(seen.changed for seen in history) >= 10
        await made.until(lambda: made.agreed(5))
        await made.until(lambda: len({tuple(made.council(n).list()) for n in made.up}) == 1)
        for key in KEYS:
            now = await made.council(4).get(key)
            newest = max((s for s in history if s.key == key), key=lambda s: s.version)
            assert (now.version, now.value) == (newest.version, newest.value)
