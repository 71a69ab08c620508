"""A node that is being emptied: others make its copies anew, and it says when it may be deleted.

It may when, without it, every live chunk that is here meets its policy by copies that were read
and checked within a day, and no running job needs what lies here.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from nodeagent.core.upkeep_tally import Counted
from nodeagent.upkeep.census import BATCH, Census
from nodeagent.upkeep.contract import DAY_S, Chunks, Happenings, Members
from nodeagent.upkeep.walk import walk

_log = structlog.stdlib.get_logger(__name__)
PROMISE = "promise/"


@dataclass(frozen=True, slots=True)
class Left:
    chunks: int = 0
    file_bytes: int = 0
    proving: bool = False
    done: bool = False
    waits: tuple[str, ...] = ()


@dataclass(slots=True)
class Leaving:
    chunks: Chunks
    census: Census
    members: Members
    happenings: Happenings
    clock_s: Callable[[], float] = time.monotonic
    waits: list[Callable[[], Sequence[str]]] = field(default_factory=list)  # Of other parts.
    has_ended: Callable[[str], bool] = lambda job: False
    _proven_s: float | None = None  # Since when all copies elsewhere are proven.
    _proving: bool = False
    _waits: tuple[str, ...] = ()

    @property
    def is_asked(self) -> bool:
        return self.members.is_draining(self.members.own.node)

    def left(self, counted: Counted) -> Left | None:
        """None of a node that stays."""
        if not self.is_asked:
            return None
        open_ = bool(counted.leaving_chunks) or not self.census.complete
        done = not open_ and self._proven_s is not None and not self._waits
        return Left(counted.leaving_chunks, counted.leaving_bytes, self._proving, done, self._waits)

    async def look(self) -> None:
        """Proves the copies elsewhere once there are enough."""
        if not self.is_asked:
            self._proven_s = None
            return
        was_done = self._is_done()
        enough = self.census.complete and not self.census.counted().leaving_chunks
        waits = [why for told in self.waits for why in told()]
        if enough and (pinned := await self._pinned()):
            waits.append(f"chunks of jobs that have not ended lie here: {pinned}")
        self._waits = tuple(waits)
        old = self._proven_s is not None and self.clock_s() - self._proven_s > DAY_S
        if not enough or old:
            self._proven_s = None
        elif self._proven_s is None and not self._waits and self.members.begun():
            await self._prove()
        if self._is_done() and not was_done:
            name = self.members.name(self.members.own.node)
            why = "every live chunk of it is proven to have enough copies elsewhere"
            self.happenings.add("node.emptied", node=name, id=self.members.own.node, why=why)
            _log.info("node_emptied", chunks=len(self.census.tally))

    def _is_done(self) -> bool:
        found = self.left(self.census.counted())
        return found is not None and found.done

    async def _prove(self) -> None:
        begun_s, tally = self.clock_s(), self.census.tally
        self._proving = True
        try:
            ids = sorted(tally.ids())
            for first in range(0, len(ids), BATCH):
                some = ids[first : first + BATCH]
                for site in (*self.members.others(), *self.members.buckets()):
                    if not self.members.is_draining(site.node):
                        asked = [one for one in some if _holds(tally.holders(one), site.node)]
                        await self.census.ask(site.node, asked, fresh_s=DAY_S)
        finally:
            self._proving = False
        if not self.census.counted().leaving_chunks:
            self._proven_s = begun_s

    async def _pinned(self) -> int:
        """Chunks that no version names yet, and a job needs."""
        count = 0
        async for held in walk(self.chunks):
            if held.chunk_id not in self.census.tally:
                pins = await self.chunks.pins(held.chunk_id)
                count += any(map(self._needs, (pin.holder for pin in pins)))
        return count

    def _needs(self, holder: str) -> bool:
        return not (holder.startswith(PROMISE) or self.has_ended(holder))


def _holds(holders: Sequence[tuple[str, str]], node: str) -> bool:
    return any(holder == node for holder, _ in holders)
