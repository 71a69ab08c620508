"""One flow for every way a chunk takes: its parts go to any number of sinks at once.

A receiver's parts come from the wire, a push's from the disk, a sender's from a sealer; a sink is
the own disk or a node further on. Each part goes to all sinks as it comes, and waits for the
slowest of those that still live; a sink that fails settles its own facts and stops nobody else.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Protocol

from multicloud.errors import McError
from nodeagent.wire.parts import Part, Parts


class Sink(Protocol):
    """It tells its facts itself and raises no McError. A cancelled one leaves nothing behind."""

    async def run(self, branch: "Branch") -> None: ...


class _Load:
    """A part on its way, and how many sinks have it still before them."""

    __slots__ = ("part", "waiting")

    def __init__(self, part: Part, waiting: int) -> None:
        self.part, self.waiting = part, waiting


class Branch:
    """The parts for one sink, in order. Asking for the next one says that the last was taken."""

    def __init__(self, released: Callable[[_Load], None]) -> None:
        self._released = released
        self._loads: deque[_Load] = deque()
        self._came = asyncio.Event()
        self._in_hand: _Load | None = None
        self.closed = False

    def add(self, load: _Load) -> None:
        if self.closed:
            self._released(load)
            return
        self._loads.append(load)
        self._came.set()

    def __aiter__(self) -> "Branch":
        return self

    async def __anext__(self) -> Part:
        """Never ends: who takes the trailer leaves."""
        self._let_go()
        while not self._loads:
            self._came.clear()
            await self._came.wait()
        self._in_hand = self._loads.popleft()
        return self._in_hand.part

    def close(self) -> None:
        """Nobody takes parts here any more; none waits for this sink."""
        self.closed = True
        self._let_go()
        while self._loads:
            self._released(self._loads.popleft())

    def _let_go(self) -> None:
        load, self._in_hand = self._in_hand, None
        if load:
            self._released(load)


class Flow:
    """`window_bytes` bounds what waits in it; `taken` hears of bytes that no sink needs now."""

    def __init__(
        self,
        sinks: Sequence[Sink],
        *,
        window_bytes: Callable[[], int],
        taken: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._sinks = sinks
        self._window_bytes = window_bytes
        self._taken = taken
        self._held_bytes = 0
        self._room = asyncio.Event()
        self._branches = [Branch(self._released) for _ in sinks]

    async def run(self, parts: Parts) -> None:
        """Returns when every sink has ended, also before the parts have.

        What `parts` raises ends all sinks and leaves here; so does being cancelled.
        """
        try:
            async with asyncio.TaskGroup() as group:
                feeding = group.create_task(self._feed(parts))
                pairs = zip(self._sinks, self._branches, strict=True)
                for ending in [group.create_task(self._drive(*pair)) for pair in pairs]:
                    await ending
                feeding.cancel()
        except BaseExceptionGroup as failed:
            raise first_of(failed) from failed

    async def _drive(self, sink: Sink, branch: Branch) -> None:
        try:
            await sink.run(branch)
        finally:
            branch.close()

    async def _feed(self, parts: Parts) -> None:
        async with aclosing(parts):
            async for part in parts:
                cost_bytes = part.cost_bytes
                while self._held_bytes and self._held_bytes + cost_bytes > self._window_bytes():
                    self._room.clear()
                    await self._room.wait()
                self._held_bytes += cost_bytes
                load = _Load(part, len(self._branches))
                for branch in self._branches:
                    branch.add(load)

    def _released(self, load: _Load) -> None:
        load.waiting -= 1
        if not load.waiting:
            self._held_bytes -= load.part.cost_bytes
            self._room.set()
            self._taken(load.part.cost_bytes)


def first_of(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """What made a group fail: our own error before a defect's shadow."""
    found: list[BaseException] = []
    waiting: list[BaseException] = [failed]
    while waiting:
        error = waiting.pop(0)
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(error.exceptions)
        else:
            found.append(error)
    # A defect must not hide behind a typed error that it caused.
    return next((e for e in found if not isinstance(e, McError)), found[0])
