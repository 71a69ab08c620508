"""The inspector looks for itself before anything in the trash is unlinked. It shares no code with
who put it there: it reads the roots by another way, the pins and the trash again, and takes back
what should not be there.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from multicloud.errors import McError
from nodeagent.store.contract import Trashed
from nodeagent.upkeep.contract import Chunks, Happenings, Settings, Telling, Witness

_log = structlog.stdlib.get_logger(__name__)
AT_ONCE_MAX = 256  # Chunks between two readings of the roots.


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
    kept_elsewhere: Callable[[bytes], Awaitable[bool]]  # Enough proven copies, now, without ours.
    settings: Callable[[], Settings]
    telling: Telling
    happenings: Happenings
    clock_unix_s: Callable[[], float] = time.time

    async def pass_once(self) -> Inspected:
        done = Inspected()
        trash = list(await self.chunks.trashed())
        for first in range(0, len(trash), AT_ONCE_MAX):
            some = trash[first : first + AT_ONCE_MAX]
            try:
                named, known_unix_s = await self.witness.names([t.held.chunk_id for t in some])
            except McError as unread:
                return Inspected(done.purged, done.bytes_freed, done.revived, unread.message)
            for one in some:
                done = await self._one(one, named[one.held.chunk_id], known_unix_s, done)
        return done

    async def _one(
        self, one: Trashed, named: bool, known_unix_s: float, done: Inspected
    ) -> Inspected:
        chunk_id = one.held.chunk_id
        now_s = self.clock_unix_s()
        # A clock that went back makes the trash younger, and so only waits longer.
        old = now_s - one.trashed_unix_s >= self.settings().trash_keep_s
        known_since = known_unix_s > one.trashed_unix_s
        if await self.chunks.pins(chunk_id):
            return await self._back(one, "a pin holds it", done)
        if named:
            surplus = one.why == SURPLUS
            if surplus and not old:
                return done
            if not (surplus and await self.kept_elsewhere(chunk_id)):
                why = "its other copies are not proven" if surplus else "something names it"
                return await self._back(one, why, done)
        if not (old and known_since):
            return done
        return await self._purge(one, done)

    async def _purge(self, one: Trashed, done: Inspected) -> Inspected:
        """The last look: it lies there still, since then, on that volume, and no pin has come."""
        again = await self.chunks.trashed()
        if not any(o.held == one.held and o.trashed_unix_s == one.trashed_unix_s for o in again):
            return done
        try:
            freed = await self.chunks.purge(one.held.chunk_id)
        except McError as kept:
            if kept.reason not in ("PINNED", "NOT_FOUND"):
                raise
            return done
        if not freed:  # It was taken back after that look.
            return done
        self.telling.count("mc.upkeep.trash", outcome="purged")
        return Inspected(done.purged + 1, done.bytes_freed + freed, done.revived)

    async def _back(self, one: Trashed, why: str, done: Inspected) -> Inspected:
        chunk = one.held.chunk_id.hex()
        await self.chunks.revive(one.held.chunk_id)
        self.telling.count("mc.upkeep.trash", outcome="revived")
        self.happenings.add("trash.revived", chunk=chunk, why=why)
        _log.warning("trash_revived", chunk=chunk, why=why)
        return Inspected(done.purged, done.bytes_freed, done.revived + 1)


SURPLUS = "enough others keep it"  # Why a copy is in the trash although something names the chunk.
