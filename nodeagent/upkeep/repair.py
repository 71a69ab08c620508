"""Repair of a chunk: damaged or gone here, it is had again from a member that proves its copy.

At once, a few at the same time, again and again until it is here. When nobody has a good copy it
says so loudly, and goes on asking: who is away may have one.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import islice
from random import Random

import structlog

from coordinator.types import NodeId
from multicloud.errors import McError
from nodeagent.core.backoff import delay_s
from nodeagent.core.upkeep_proofs import Proof, good, judged
from nodeagent.store.contract import Held
from nodeagent.upkeep.contract import (
    Chunks,
    Fellows,
    Happenings,
    Members,
    Roots,
    Settings,
    Telling,
    Whereabouts,
)
from nodeagent.upkeep.damages import Damage, Damages
from nodeagent.upkeep.rate import Rate

_log = structlog.stdlib.get_logger(__name__)
AGAIN_BASE_S, AGAIN_S_MAX = 2.0, 300.0
NONCE_BYTES = 32
MEET_S = 15.0  # After a start: so long members may still be on their way to be known.
KEEP_EVERY_S = 1.0
HOLD_S = 3600.0  # A copy that was brought back from a trash stays there for so long.
JOB = "repair"


@dataclass(slots=True)
class Repair:
    chunks: Chunks
    damages: Damages
    fellows: Fellows
    members: Members
    whereabouts: Whereabouts
    roots: Roots
    settings: Callable[[], Settings]
    telling: Telling
    happenings: Happenings
    changed: Callable[[], None]  # The count of damaged or lost chunks is another.
    rng: Random
    clock_unix_s: Callable[[], float] = time.time
    clock_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    trouble: str = ""
    _began_s: float = float("-inf")
    _running: set[bytes] = field(default_factory=set)
    _due_s: dict[bytes, float] = field(default_factory=dict)
    _attempts: dict[bytes, int] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _tried: asyncio.Event = field(default_factory=asyncio.Event)

    def on_damage(self, held: Held, why: str) -> None:
        """The store's callback: in its loop, and it does not wait."""
        chunk = held.chunk_id.hex()
        self.damages.add(
            Damage(held.chunk_id, held.volume, held.file_bytes, self.clock_unix_s(), why)
        )
        self._due_s.pop(held.chunk_id, None)
        self.happenings.add("chunk.damaged", chunk=chunk, volume=held.volume, why=why)
        _log.error("chunk_damaged", chunk=chunk, volume=held.volume, why=why)
        self.changed()
        self._wake.set()

    def hurry(self) -> None:
        """Whatever waits for its next attempt is tried now."""
        self._due_s.clear()
        self._wake.set()

    async def tried(self, chunk_ids: Collection[bytes]) -> None:
        """Returns when each was tried once more, or is closed."""
        self.hurry()
        before = {one: self._attempts.get(one, 0) for one in chunk_ids}
        while any(
            one in self.damages.open and self._attempts.get(one, 0) == count
            for one, count in before.items()
        ):
            self._tried.clear()
            await self._tried.wait()

    async def load(self) -> None:
        """What was open before the restart, and evidence of chunks that are not here since."""
        try:
            await self.damages.load()
            evidence = await self.chunks.evidence()
        except McError as unread:  # The scrub finds again what is damaged.
            self._hindered(unread)
            return
        for piece in evidence:
            if not await self.chunks.find([piece.chunk_id]):
                found = piece.found_unix_s
                self.damages.add(Damage(piece.chunk_id, "", piece.file_bytes, found, piece.why))
        self.changed()

    async def run(self) -> None:
        """Until it is cancelled."""
        self._began_s = self.clock_s()
        await self.load()
        rate = Rate(lambda: self.settings().repair_bytes_per_s_max, self.clock_s, self.sleep)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep())
            while True:
                self._wake.clear()
                for damage in self._ready():
                    self._running.add(damage.chunk_id)
                    group.create_task(self._attempt(damage, rate))
                await self._until_due()

    async def _keep(self) -> None:
        """Changes are on disk at once when they are few, and together when they are many."""
        while True:
            await self.damages.changed.wait()
            try:
                await self.damages.save()
                self.trouble = ""
            except McError as unsaved:  # It is tried again; until then memory knows.
                self._hindered(unsaved)
            await asyncio.sleep(KEEP_EVERY_S)

    def _hindered(self, error: McError) -> None:
        self.trouble = error.message
        _log.error("damages_unkept", reason=error.reason, why=error.message, next=error.next)

    def _ready(self) -> list[Damage]:
        now_s = self.clock_s()
        free = self.settings().repair_at_once_max - len(self._running)
        ready = (
            one
            for one in self.damages.open.values()
            if one.chunk_id not in self._running and self._due_s.get(one.chunk_id, now_s) <= now_s
        )
        return list(islice(ready, max(0, free)))  # A whole disk may be lost at once.

    async def _until_due(self) -> None:
        if len(self._running) >= self.settings().repair_at_once_max:
            await self._wake.wait()  # Whoever is due waits for a place.
            return
        waiting = [due_s for one, due_s in self._due_s.items() if one not in self._running]
        most_s = max(0.0, min(waiting, default=self.clock_s() + AGAIN_S_MAX) - self.clock_s())
        try:
            async with asyncio.timeout(most_s):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _attempt(self, damage: Damage, rate: Rate) -> None:
        try:
            await self.attempt(damage, rate)
        finally:
            self._running.discard(damage.chunk_id)
            self._wake.set()
            self._tried.set()

    async def attempt(self, damage: Damage, rate: Rate) -> bool:
        """One try. True when nothing is open about the chunk any more."""
        chunk_id, chunk = damage.chunk_id, damage.chunk_id.hex()
        try:
            with self.telling.span("chunk.repair", chunk=chunk) as span:
                outcome = await self._mend(damage, rate)
                span.fact(outcome=outcome)
        except McError as error:
            _log.warning("repair_failed", chunk=chunk, reason=error.reason, why=error.message)
            outcome = "failed"
        self.telling.count("mc.upkeep.repairs", outcome=outcome)
        if outcome in ("repaired", "needless"):
            self._close(damage, outcome)
            return True
        attempt = self._attempts.get(chunk_id, 0) + 1
        self._attempts[chunk_id] = attempt
        wait_s = delay_s(attempt, self.rng, base_s=AGAIN_BASE_S, delay_s_max=AGAIN_S_MAX)
        self._due_s[chunk_id] = self.clock_s() + wait_s
        return False

    def _close(self, damage: Damage, outcome: str) -> None:
        chunk = damage.chunk_id.hex()
        took_s = max(0.0, self.clock_unix_s() - damage.found_unix_s)
        self.damages.close(damage.chunk_id)
        self._due_s.pop(damage.chunk_id, None)
        self._attempts.pop(damage.chunk_id, None)
        if outcome == "repaired":
            self.telling.observe("mc.upkeep.repair.duration", took_s)
        self.happenings.add(
            f"chunk.{outcome}", chunk=chunk, why=f"{took_s:.1f} s after it was found"
        )
        _log.info(f"chunk_{outcome}", chunk=chunk, seconds=round(took_s, 1))
        self.changed()

    async def _mend(self, damage: Damage, rate: Rate) -> str:
        chunk_id = damage.chunk_id
        if await self._here(chunk_id):
            return "repaired"  # Somebody put it here meanwhile.
        sources = await self.proofs(chunk_id)
        if not good(sources) and await self._brought_back(chunk_id):
            sources = await self.proofs(chunk_id)
        proven = good(sources)
        if not proven:
            if await self._is_needless(damage):
                return "needless"
            self._say_lost(damage, sources)
            return "no good copy"
        if self.damages.set_lost(chunk_id, False):
            self.changed()
        await self._fetch(damage, proven, rate)
        return "repaired" if await self._here(chunk_id) else "failed"

    async def proofs(self, chunk_id: bytes) -> list[Proof]:
        """What each other member that may have it proves now, the nearest first."""
        nonce = secrets.token_bytes(NONCE_BYTES)

        async def ask(node: NodeId) -> Proof:
            try:
                (proof,) = await self.fellows.prove(node, [chunk_id], nonce)
            except McError as away:
                return Proof(node, reason=away.reason)
            return proof

        return judged(await asyncio.gather(*(ask(node) for node in await self._askable(chunk_id))))

    async def _brought_back(self, chunk_id: bytes) -> bool:
        """Nobody has it among the living: some trash may."""
        back = False
        for node in await self._askable(chunk_id):
            try:
                back |= chunk_id in await self.fellows.promise(node, [chunk_id], HOLD_S)
            except McError as away:
                _log.info("repair_unanswered", node=node, reason=away.reason)
        return back

    async def _askable(self, chunk_id: bytes) -> list[NodeId]:
        """The nearest first, and nobody of whom it is known that he cannot answer."""
        holders = set(await self.whereabouts.holders(chunk_id))
        return [site.node for site in self.members.others() if site.node in holders]

    async def _fetch(self, damage: Damage, sources: Sequence[Proof], rate: Rate) -> None:
        last: McError | None = None
        for source in sources:
            await rate.take(damage.file_bytes)
            try:
                await self.fellows.push_here(source.node, damage.chunk_id, JOB)
                await self.chunks.unpin(JOB)  # From now on it lives as any other.
                break
            except McError as error:
                last = error
        else:
            assert last is not None
            raise last

    async def _here(self, chunk_id: bytes) -> bool:
        """It is among the living and its bytes are good."""
        if not await self.chunks.find([chunk_id]):
            return False
        try:
            await self.chunks.verify(chunk_id)
        except McError as error:
            if error.reason not in ("DAMAGE", "NOT_FOUND"):
                raise
            return False
        return True

    async def _is_needless(self, damage: Damage) -> bool:
        """Whoever decides has said since that nothing names it, and no pin holds it."""
        try:
            live = await self.roots.read()
        except McError:
            return False  # Not known, so it is needed.
        pinned = bool(await self.chunks.pins(damage.chunk_id))
        return live is not None and damage.chunk_id not in live.chunks and not pinned

    def _is_meeting(self) -> bool:
        """Shortly after the start it is not known yet who there is to be asked."""
        starting = self.clock_s() - self._began_s < MEET_S
        return starting and (not self.members.others() or bool(self.members.away()))

    def _say_lost(self, damage: Damage, sources: Sequence[Proof]) -> None:
        if self._is_meeting() or not self.damages.set_lost(damage.chunk_id, True):
            return
        chunk = damage.chunk_id.hex()
        silent = [*(one.node for one in sources if one.unknown), *self.members.away()]
        away = [self.members.name(node) for node in silent]
        why = "no member that answered has a good copy"
        if away:
            why += f"; not answered: {', '.join(away)}"
        self.happenings.add("chunk.lost", chunk=chunk, why=why)
        _log.error("chunk_lost", chunk=chunk, why=why, next="start the nodes that are away")
        self.changed()
