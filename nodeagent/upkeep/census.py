"""Knows at all times who has copies of the chunks that are here and live. Members are asked when
they come, return or have other disks, and about what is new or uneven; else nobody is asked.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import structlog

from coordinator.places import node_of, volume_of
from coordinator.types import NodeId
from multicloud.errors import McError
from nodeagent.core.upkeep_tally import Counted, Presence, Standings, Tally, basis_of
from nodeagent.store.contract import Held
from nodeagent.upkeep.contract import Chunks, Fellows, Live, Members, Roots, Settings
from nodeagent.upkeep.walk import BREATH, walk

_log = structlog.stdlib.get_logger(__name__)
BATCH = 64  # Chunks that a member is asked about at once.
UNEVEN_MAX = 4096  # Of those that are short, asked about in one look.
SURPLUS_EVERY_S = 60.0
WALK_EVERY_S, WALK_SHARE = 60.0, 0.05  # Of the time, at most, while chunks come and go.
NONCE_BYTES = 32
NOTHING = Live({}, 0.0)
EVER_S = float((1 << 32) - 1)  # However long ago a copy was checked: nothing is read to answer.


@dataclass(slots=True)
class Census:
    chunks: Chunks
    roots: Roots
    fellows: Fellows
    members: Members
    settings: Callable[[], Settings]
    stamp: Callable[[], object]  # Changes when chunks come or go.
    clock_s: Callable[[], float] = time.monotonic
    tally: Tally = field(init=False)
    live_chunks: int = 0  # Of the whole cluster, as far as this node can tell; 0: it cannot.
    complete: bool = False  # All that are here were asked about all that is here.
    hindered: str = ""  # Why not everything is known.
    dropped: int = 0  # Chunks that are live and not here any more.
    _live: Live | None = None
    _stamp: object = None
    _walked_s: float = -1e9
    _walk_took_s: float = 0.0
    _anew_s: float = -1e9
    _surplus_s: float = -1e9
    _asked: dict[NodeId, object] = field(default_factory=dict)  # As it stood when it was asked.

    def __post_init__(self) -> None:
        self.tally = Tally(self.members.own.node)

    def counted(self) -> Counted:
        """By what is known of members now."""
        return self.tally.counted(self.members.standings(), self.clock_s())

    def basis(self) -> int:
        """0 while not everything is known."""
        standings = self.members.standings().items()
        here = (node for node, one in standings if one.presence is Presence.HERE)
        return basis_of(here) if self.complete else 0

    def knows(self, standings: Standings) -> bool:
        """Whether it was told what those have that are away for now. Who has just begun was not,
        and would take their copies for missing.
        """
        return all(
            node in self._asked
            for node, one in standings.items()
            if node_of(node) != self.tally.own
            and one.presence in (Presence.DOUBTED, Presence.AWAITED)
        )

    async def look(self) -> None:
        """Cheap while nothing changes."""
        now_s = self.clock_s()
        if now_s - self._anew_s >= self.settings().surplus_every_s:
            self._asked = dict.fromkeys(self._asked)
            self._anew_s = now_s
        try:
            await self._look(now_s)
        except McError as error:
            self.complete, self.hindered = False, error.message
            raise

    async def _look(self, now_s: float) -> None:
        live = await self.roots.read(anew=False)
        if live is None:
            live = NOTHING
        known = self._live.chunks if self._live else None
        same = known is live.chunks or known == live.chunks
        self.complete = self.complete and same
        self.live_chunks = live.in_all
        fresh = await self._walk(live, same, now_s)
        standings = self.members.standings()
        uneven = self._uneven(standings, now_s)
        asked: list[asyncio.Task[str]] = []
        async with asyncio.TaskGroup() as group:
            for site in (*self.members.others(), *self.members.buckets()):
                standing = standings.get(site.node)
                if standing is None or standing.presence is not Presence.HERE:
                    continue
                stood = standing.generation, standing.volumes, standing.dropped
                anew = self._asked.get(site.node) != stood
                self.complete = self.complete and not (anew or fresh)
                ids = self.tally.ids() if anew else fresh | uneven
                asked.append(group.create_task(self._ask(site.node, list(ids), stood)))
        for node, standing in standings.items():
            if standing.presence is Presence.GONE:
                self._asked.pop(node, None)  # Should it return, it is compared again.
        silent = [why for task in asked if (why := task.result())]
        self.complete, self.hindered = not silent, "; ".join(silent)

    async def _walk(self, live: Live, same: bool, now_s: float) -> set[bytes]:
        """What came here and is live; what went is forgotten."""
        stamp, age_s = self.stamp(), now_s - self._walked_s
        changed = stamp != self._stamp and age_s >= self._walk_took_s / WALK_SHARE
        if same and not changed and age_s < WALK_EVERY_S:
            return set()
        here: dict[bytes, list[Held]] = {}
        async for held in walk(self.chunks):
            if held.chunk_id in live.chunks:
                here.setdefault(held.chunk_id, []).append(held)
        for chunk_id in [one for one in self.tally.ids() if one not in here]:
            self.tally.drop(chunk_id)
            self.dropped += chunk_id in live.chunks
        fresh = {chunk_id for chunk_id in here if chunk_id not in self.tally}
        served = (node for node in self.members.standings() if node_of(node) == self.tally.own)
        self.tally.buckets = frozenset(map(volume_of, served)) - {""}
        for count, (chunk_id, copies) in enumerate(here.items(), start=1):
            mine = {held.volume for held in copies}
            self.tally.here(chunk_id, copies[0].file_bytes, live.chunks[chunk_id], mine)
            if count % BREATH == 0:
                await asyncio.sleep(0)
        self._stamp, self._live = stamp, live
        self._walked_s, self._walk_took_s = now_s, self.clock_s() - now_s
        return fresh

    def _uneven(self, standings: Standings, now_s: float) -> set[bytes]:
        surplus = now_s - self._surplus_s >= SURPLUS_EVERY_S
        if surplus:
            self._surplus_s = now_s
        found = set[bytes]()
        for chunk_id, short in self.tally.uneven(standings):
            if short or surplus:
                found.add(chunk_id)
            if len(found) == UNEVEN_MAX:
                break
        return found

    async def _ask(self, node: NodeId, ids: list[bytes], stood: object) -> str:
        """Why it did not answer about all of them; "" when it did."""
        try:
            for first in range(0, len(ids), BATCH):
                await self.ask(node, ids[first : first + BATCH])
        except McError as away:
            if node in self._asked:
                self._asked[node] = None
            _log.info("census_unanswered", node=node, reason=away.reason)
            return f"{self.members.name(node)} does not say what it has: {away.message}"
        self._asked[node] = stood
        return ""

    async def ask(self, node: NodeId, ids: Iterable[bytes], fresh_s: float = EVER_S) -> None:
        """One member about some chunks. DEADLINE when it left some out."""
        asked = [chunk_id for chunk_id in ids if chunk_id in self.tally]
        if not asked:
            return
        nonce = secrets.token_bytes(NONCE_BYTES)
        proofs = await self.fellows.prove(node, asked, nonce, fresh_s=fresh_s)
        for chunk_id, proof in zip(asked, proofs, strict=True):
            if proof.unknown:
                raise McError("DEADLINE", f"{node} did not say what became of its copies")
            if chunk_id in self.tally:
                self.tally.answered(node, chunk_id, proof.volume if proof.good else None)
