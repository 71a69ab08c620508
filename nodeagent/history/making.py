"""The history of a real node: joined with its telemetry, its members, its events and its jobs."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from coordinator.distance import Measured
from coordinator.types import Knowing, NodeId, View
from multicloud.v1 import common_pb2
from nodeagent.body import Body
from nodeagent.config.live import LiveConfig
from nodeagent.history.book import Mark
from nodeagent.history.insight import HistoryInsight
from nodeagent.history.recorder import Recorder
from nodeagent.ops.events import Happening
from nodeagent.ops.folder import StateFolder
from nodeagent.rpc.admin.passing import Passing
from nodeagent.rpc.peers import Peers
from nodeagent.rpc.roster import Peer, Roster
from nodeagent.telemetry import Telemetry

FILE = "history.db"
COPIES_MAX = 4  # Whoever has more is as safe; labels stay few.
LINKS_MAX = 32  # Labels are bounded: of more links, the slowest.
_THERE = (Knowing.ALIVE, Knowing.SUSPECT)
_AWAY = (Knowing.UNREACHABLE, Knowing.DOWN, Knowing.DEAD)


class Surroundings(Protocol):
    """What a node has made already when it comes to this."""

    @property
    def live(self) -> LiveConfig: ...
    @property
    def folder(self) -> StateFolder: ...
    @property
    def telemetry(self) -> Telemetry: ...
    @property
    def body(self) -> Body: ...
    @property
    def roster(self) -> Roster: ...
    @property
    def peers(self) -> Peers: ...

    def view(self) -> View: ...
    def measured(self) -> Mapping[NodeId, Measured]: ...


class NodeHistory:
    def __init__(self, node: Surroundings) -> None:
        self._node = node
        marks = Marks(node.body, node.live, str(node.folder.generation))
        self.recorder = Recorder(node.folder.path / FILE, node.telemetry.samples, marks.new)
        passing = Passing(node.roster, node.peers)
        self.insight = HistoryInsight(node.roster.own.id, self.recorder, passing, self)
        gauge = node.telemetry.gauge
        gauge("mc.chunks.copies", self._by_copies, "copies")
        gauge("mc.repair.debt", lambda: {(): float(self._copies().debt_chunks)})
        gauge("mc.repair.debt.size", lambda: {(): float(self._copies().debt_bytes)})
        gauge("mc.repair.debt.age", lambda: {(): float(self._copies().debt_oldest_s)})
        gauge("mc.link.rtt", self._rtts_s, "peer")
        gauge("mc.cluster.frozen", lambda: {(): float(node.view().frozen)})

    async def run(self) -> None:
        """Until it is cancelled."""
        self.recorder.start()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.shield(asyncio.to_thread(self.recorder.stop))

    def there(self) -> Sequence[Peer]:
        return self._known(_THERE)

    def away(self) -> Sequence[Peer]:
        return self._known(_AWAY)

    def _known(self, knowing: Sequence[Knowing]) -> Sequence[Peer]:
        members = self._node.view().members
        peers = list(self._node.roster.peers.values())
        return [p for p in peers if p.id in members and members[p.id].knowing in knowing]

    def _copies(self) -> common_pb2.CopiesFacts:
        return self._node.body.own.copies

    def _by_copies(self) -> dict[tuple[str, ...], float]:
        found: dict[tuple[str, ...], float] = {(str(n),): 0.0 for n in range(COPIES_MAX + 1)}
        for copies, chunks in dict(self._copies().chunks_by_copies).items():
            found[(str(min(copies, COPIES_MAX)),)] += chunks
        return found

    def _rtts_s(self) -> dict[tuple[str, ...], float]:
        known = sorted(self._node.measured().items(), key=lambda one: -one[1].ms)[:LINKS_MAX]
        return {(node,): one.ms / 1000 for node, one in known}


@dataclass(slots=True)
class Marks:
    """What a curve is to be read with: starts, reloads, and what the brain told of nodes."""

    body: Body
    live: LiveConfig
    generation: str
    _last: int = 0
    _config: object = None
    _begun: bool = False

    def new(self) -> list[Mark]:
        now_ms, config = time.time_ns() // 1_000_000, self.live.current
        found = [Mark(one.unix_ms, one.name, one.facts) for one in self._happened()]
        if not self._begun:
            found.append(Mark(now_ms, "daemon.started", {"generation": self.generation}))
        elif config is not self._config:
            found.append(Mark(now_ms, "config.reloaded", {}))
        self._begun, self._config = True, config
        return found

    def _happened(self) -> list[Happening]:
        news = self.body.events.since(self._last)
        if news:
            self._last = news[-1].sequence
        return [one for one in news if one.name.startswith(("node.", "cluster.", "job."))]
