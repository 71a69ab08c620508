"""A cluster of real nodes in the test's loop, each of which can be stopped, started and wiped."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from coordinator.council.registers import Seat
from nodeagent.council.contract import Council
from nodeagent.council.part import FOLDER, CouncilPart
from tests.support.nodes import Place, Running, make_place, running
from tests.support.people import People

CLOUDS = ("aws", "gcp", "azure")
WITHIN_S = 25.0


class Town:
    """Nodes 1, 2, 3…; the first is the founder. They stand in three clouds by turns."""

    def __init__(self, people: People, folder: Path, **more: str) -> None:
        self.people, self.folder = people, folder
        self.more = more
        self.places: dict[int, Place] = {}
        self.up: dict[int, Running] = {}
        self._lives: dict[int, AsyncExitStack] = {}

    async def start(self, *numbers: int) -> None:
        for number in numbers:
            if number not in self.places:
                self.places[number] = self._place(number)
            options = {"node.cloud": CLOUDS[number % 3], **self.more}
            life = AsyncExitStack()
            self.up[number] = await life.enter_async_context(
                running(self.places[number], **options)
            )
            self._lives[number] = life

    def _place(self, number: int) -> Place:
        known = [one.address for one in self.up.values()]
        join = {"peers": known, "greet_every_s": 0.2, "greet_timeout_s": 1.0}
        return make_place(self.people, self.folder, number, {"join": join})

    async def stop(self, *numbers: int) -> None:
        """As if killed: nobody is told."""
        for number in numbers:
            del self.up[number]
            await self._lives.pop(number).aclose()

    def wipe(self, number: int, what: str = FOLDER) -> None:
        shutil.rmtree(self.places[number].state / what)

    def part(self, number: int) -> CouncilPart:
        return self.up[number].node.council.part

    def council(self, number: int) -> Council:
        return self.part(number).council

    def seats(self, number: int) -> Sequence[Seat]:
        return self.part(number).copy.epoch.members

    def members(self, by: int) -> list[int]:
        """The numbers of the members, as one node knows them."""
        return sorted(int(seat.node, 16) for seat in self.seats(by))

    def epochs(self) -> set[int]:
        return {one.node.council.part.copy.epoch.number for one in self.up.values()}

    def agreed(self, size: int) -> bool:
        """All know the same members, that many, and each of them serves."""
        seen = {tuple(self.seats(number)) for number in self.up}
        if len(seen) != 1 or len(next(iter(seen))) != size:
            return False
        (epoch,) = self.epochs()
        mine = [int(seat.node, 16) for seat in next(iter(seen))]
        return all(self.part(m).member.epoch.number == epoch for m in mine if m in self.up)

    async def until(self, fact: Any, within_s: float = WITHIN_S) -> None:
        async with asyncio.timeout(within_s):
            while not fact():
                await asyncio.sleep(0.02)


@asynccontextmanager
async def town(
    people: People, folder: Path, numbers: Iterable[int], **more: str
) -> AsyncIterator[Town]:
    made = Town(people, folder, **more)
    try:
        await made.start(*numbers)
        yield made
    finally:
        await made.stop(*list(made.up))
