"""The trash pass: what no root names and no pin holds goes to the trash, and never much at once.

It deletes nothing. The inspector does, a day later, and looks for itself.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from multicloud.errors import McError
from nodeagent.core.upkeep_marking import Amount, is_unnamed, too_much
from nodeagent.store.contract import Held
from nodeagent.upkeep.contract import Chunks, Happenings, Roots, Settings, Telling
from nodeagent.upkeep.walk import walk

_log = structlog.stdlib.get_logger(__name__)
UNNAMED = "nothing names it"
MARKED_MAX = 100_000  # In one pass; the next goes on.
NOTHING = Amount()
FROZEN = "much is lost at once, and until that is over nothing is deleted"
NOBODY_SAID = "nobody has said which chunks are live"


@dataclass(frozen=True, slots=True)
class Collected:
    trashed: Amount = NOTHING
    held_back: Amount = NOTHING  # Not taken, because it is too much to take unasked.
    why: str = ""  # Why nothing was taken.


@dataclass(slots=True)
class Collect:
    chunks: Chunks
    roots: Roots
    settings: Callable[[], Settings]
    telling: Telling
    happenings: Happenings
    frozen: Callable[[], bool]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    last: Collected = field(default_factory=Collected)

    async def pass_once(self, *, asked: bool = False) -> Collected:
        """`asked`: an operator has confirmed that it may be much."""
        done = await self._pass(asked)
        if done.held_back.chunks and done != self.last:
            count = str(done.held_back.chunks)
            _log.warning("trash_held_back", why=done.why, chunks=count)
            self.happenings.add("trash.held_back", why=done.why, chunks=count)
        self.last = done
        return done

    async def _pass(self, asked: bool) -> Collected:
        if self.frozen():
            return Collected(why=FROZEN)
        try:
            live = await self.roots.read()
        except McError as unread:
            _log.warning("roots_unread", reason=unread.reason, why=unread.message)
            return Collected(why=unread.message)
        if live is None:
            return Collected(why=NOBODY_SAID)
        grace_s = self.settings().grace_s
        living, marked = Amount(), list[Held]()
        async for one in walk(self.chunks):
            living += Amount(1, one.file_bytes)
            unnamed = is_unnamed(one, live.chunks, live.as_of_unix_s, grace_s)
            if unnamed and len(marked) < MARKED_MAX and not await self.chunks.pins(one.chunk_id):
                marked.append(one)
        trash = Amount.of([one.held for one in await self.chunks.trashed()])
        why = too_much(Amount.of(marked), living, trash, self.settings().trash_share_max)
        if why and not asked and marked:
            return Collected(held_back=Amount.of(marked), why=why)
        return Collected(trashed=await self._trash(marked))

    async def _trash(self, marked: list[Held]) -> Amount:
        gone = Amount()
        for one in marked:
            try:
                trashed = await self.chunks.trash(one.chunk_id, UNNAMED)
            except McError as error:
                if error.reason != "NOT_FOUND":  # It went by itself meanwhile.
                    raise
                continue
            if trashed:  # Else a pin came since.
                gone += Amount(1, one.file_bytes)
                self.telling.count("mc.upkeep.trash", outcome="in")
        if gone.chunks:
            _log.info("trashed", chunks=gone.chunks, bytes=gone.file_bytes)
        return gone
