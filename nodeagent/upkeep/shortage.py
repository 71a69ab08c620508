"""Copies that are missing: once a member is gone for good or is being emptied, the best-ranked
holder of each chunk brings it to further nodes, chunks with the fewest copies first.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from multicloud.errors import McError
from nodeagent.core.upkeep_tally import Lacking
from nodeagent.upkeep.census import Census
from nodeagent.upkeep.contract import Chunks, Giving, Happenings, Members, Settings, Telling
from nodeagent.upkeep.rate import Rate

_log = structlog.stdlib.get_logger(__name__)
ROUND_S = 10.0  # Then others' news counts, and who is endangered most comes first again.
WHY_CHARS_MAX = 160


@dataclass(slots=True)
class Shortage:
    chunks: Chunks
    census: Census
    members: Members
    giving: Giving
    settings: Callable[[], Settings]
    telling: Telling
    happenings: Happenings
    rate: Rate  # Of bytes that are sent.
    hindered: str = ""  # Why a chunk got no copy the last time.

    async def look(self) -> int:
        """How many chunks were given copies; cheap while nobody came or went."""
        await self.census.look()
        standings = self.members.standings()
        # Much lost at once is likelier a cut than a catastrophe: nothing is made anew for now.
        if self.members.frozen() or not (self.members.begun() and self.census.knows(standings)):
            return 0
        lacking = self.census.tally.lacking(standings)
        if not lacking:
            self.hindered = ""
        return await self._all(lacking)

    async def _all(self, lacking: list[Lacking]) -> int:
        """Some at once; most endangered first."""
        waiting, given, refused = iter(lacking), 0, ""
        end_s = self.census.clock_s() + ROUND_S

        async def work() -> None:
            nonlocal given, refused
            for one in waiting:
                if self.members.frozen() or self.census.clock_s() >= end_s:
                    return
                why = await self._give(one)
                given, refused = given + (not why), why or refused

        async with asyncio.TaskGroup() as group:
            for _ in range(min(len(lacking), self.settings().repair_at_once_max)):
                group.create_task(work())
        if given or refused:
            self.hindered = refused
        return given

    async def _give(self, one: Lacking) -> str:
        """Why it could not be; "" when it was."""
        chunk_id, chunk = one.chunk_id, one.chunk_id.hex()
        here = await self.chunks.find([chunk_id])
        if not here:
            return ""  # It went meanwhile, and is somebody else's to see to.
        held = here[0]
        await self.rate.take(held.file_bytes)
        with self.telling.span("chunk.restore", chunk=chunk, copies=one.copies) as span:
            try:
                nodes = [site.node for site in one.stay]
                takers = await self.giving.give(held, one.policy, nodes)
                for taker in takers:
                    await self.census.ask(taker, [chunk_id])
            except McError as refused:
                self.telling.count("mc.upkeep.restored", outcome=refused.reason)
                span.fact(reason=refused.reason)
                _log.warning("copy_not_restored", chunk=chunk, why=refused.message)
                return refused.message
        names = ", ".join(map(self.members.name, takers))
        self.telling.count("mc.upkeep.restored", outcome="ok")
        self.happenings.add("chunk.restored", chunk=chunk, why=f"{names} took a copy")
        return ""
