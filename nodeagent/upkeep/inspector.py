"""The inspector looks for itself before anything in the trash is unlinked. It shares no code with
who put it there: it reads the roots by another way, the pins and the trash again, and takes back
what should not be there.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from multicloud.errors import McError
from nodeagent.store.contract import Held, Trashed
from nodeagent.upkeep.collect import FROZEN
from nodeagent.upkeep.contract import Chunks, Happenings, Settings, Telling, Witness

_log = structlog.stdlib.get_logger(__name__)
AT_ONCE_MAX = 1024  # Chunks between two readings of the roots.
SURPLUS = "enough others keep it"  # Why a copy is in the trash although something names the chunk.


@dataclass(frozen=True, slots=True)
class Inspected:
    purged: int = 0
    bytes_freed: int = 0
    revived: int = 0
    why: str = ""  # Why it could not look.


@dataclass(slots=True)
class Inspector:
    chunks: Chunks
    witness: Witness
    kept_elsewhere: Callable[[Held], Awaitable[bool]]  # Enough proven copies, now, without ours.
    settings: Callable[[], Settings]
    telling: Telling
    happenings: Happenings
    frozen: Callable[[], bool]
    clock_unix_s: Callable[[], float] = time.time

    async def pass_once(self) -> Inspected:
        done = Inspected()
        if self.frozen():
            return replace(done, why=FROZEN)
        trash = list(await self.chunks.trashed())
        for first in range(0, len(trash), AT_ONCE_MAX):
            some = trash[first : first + AT_ONCE_MAX]
            try:
                named, known_unix_s = await self.witness.names([t.held.chunk_id for t in some])
            except McError as unread:
                return replace(done, why=unread.message)
            going = []
            for one in some:
                back, may_go = await self._judge(one, named[one.held.chunk_id], known_unix_s)
                if back:
                    await self._back(one, back)
                    done = replace(done, revived=done.revived + 1)
                elif may_go:
                    going.append(one)
            done = await self._purge(going, done)
        return done

    async def _judge(self, one: Trashed, named: bool, known_unix_s: float) -> tuple[str, bool]:
        """Why it has to come back, or whether it may go."""
        chunk_id = one.held.chunk_id
        # A clock that went back makes the trash younger, and so only waits longer.
        old = self.clock_unix_s() - one.trashed_unix_s >= self.settings().trash_keep_s
        if await self.chunks.pins(chunk_id):
            return "a pin holds it", False
        if named and one.why != SURPLUS:
            return "something names it", False
        if named and old and not await self.kept_elsewhere(one.held):
            return "its other copies are not proven", False
        return "", old and known_unix_s > one.trashed_unix_s

    async def _purge(self, going: Sequence[Trashed], done: Inspected) -> Inspected:
        """The last look: it lies there still, since then, on that volume; pins the store knows."""
        there = set(await self.chunks.trashed()) if going else set()
        for one in going:
            if one not in there:
                continue
            try:
                freed = await self.chunks.purge(one.held.chunk_id)
            except McError as kept:
                if kept.reason not in ("PINNED", "NOT_FOUND"):
                    raise
                continue
            if freed:  # Else it was taken back after that look.
                self.telling.count("mc.upkeep.trash", outcome="purged")
                done = replace(done, purged=done.purged + 1, bytes_freed=done.bytes_freed + freed)
        return done

    async def _back(self, one: Trashed, why: str) -> None:
        chunk = one.held.chunk_id.hex()
        await self.chunks.revive(one.held.chunk_id)
        self.telling.count("mc.upkeep.trash", outcome="revived")
        self.happenings.add("trash.revived", chunk=chunk, why=why)
        _log.warning("trash_revived", chunk=chunk, why=why)
