"""A few nodes with stores in memory that ask each other without a wire, on one clock."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from coordinator.policy import Level, Policy, Site
from coordinator.types import Domain, NodeId
from multicloud.errors import McError
from nodeagent.core.upkeep_proofs import Proof
from nodeagent.core.upkeep_tally import Presence, Standing
from nodeagent.store.contract import Held, Pin
from nodeagent.store.memory import MemoryStore
from nodeagent.upkeep.contract import Live
from nodeagent.upkeep.upkeep import Neighbours, Upkeep
from tests.support.chunks import Chunk, seal

THREE = Policy(3, ((Level.ZONE, 3),))
START_UNIX_S = 1_800_000_000.0
HOUR_S, DAY_S = 3600.0, 24 * 3600.0


@dataclass
class Clock:
    now_s: float = START_UNIX_S

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Options:
    look_every_s: float = 60.0
    scrub_within_s: float = 7 * DAY_S
    scrub_bytes_per_s_max: int = 1 << 30
    repair_at_once_max: int = 4
    repair_bytes_per_s_max: int = 1 << 30
    evidence_keep_s: float = DAY_S
    trash_every_s: float = HOUR_S
    trash_keep_s: float = DAY_S
    trash_share_max: float = 0.2
    grace_s: float = HOUR_S
    surplus_every_s: float = 6 * HOUR_S


@dataclass
class Told:
    """Telemetry and events that a test reads."""

    counts: dict[str, float] = field(default_factory=dict)
    events: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def count(self, name: str, n: float = 1, **labels: str) -> None:
        key = " ".join([name, *labels.values()])
        self.counts[key] = self.counts.get(key, 0) + n

    def observe(self, name: str, value: float, **labels: str) -> None:
        self.count(name, **labels)

    @contextmanager
    def span(self, name: str, **facts: Any) -> Iterator[Any]:
        yield self

    def fact(self, **facts: Any) -> None: ...
    def fail(self, reason: str, what: str = "") -> None: ...

    def add(self, name: str, **facts: str) -> None:
        self.events.append((name, facts))

    def named(self, name: str) -> list[dict[str, str]]:
        return [facts for told, facts in self.events if told == name]


@dataclass
class Roots:
    """What is live, as whoever decides knows it; each node may read an old answer."""

    clock: Clock
    live: dict[bytes, Policy] = field(default_factory=dict)
    said: bool = True
    unread: bool = False
    pause: Callable[[], Awaitable[None]] = field(default=lambda: no_pause())

    async def read(self, *, anew: bool = True) -> Live | None:
        if self.unread:
            raise McError("UNREACHABLE", "the council does not answer")
        known = Live(dict(self.live), self.clock()) if self.said else None
        await self.pause()  # What it says is old when it is used.
        return known

    async def names(self, chunk_ids: Collection[bytes]) -> tuple[dict[bytes, bool], float]:
        if self.unread or not self.said:
            raise McError("UNREACHABLE", "the council does not answer")
        return {one: one in self.live for one in chunk_ids}, self.clock()


class Node:
    def __init__(self, village: "Village", node_id: NodeId, zone: str, folder: Path) -> None:
        self.village, self.id = village, node_id
        self.own = Site(Domain("aws", "us-east-1", zone), node_id)
        self.store = MemoryStore(f"volume-{node_id}", clock=village.clock)
        self.options = village.options
        self.told = Told()
        self.reported = (0, 0)
        self.up = True
        self.draining = False
        self.generation = 1
        self.busy = False
        self.upkeep = Upkeep(
            Neighbours(
                chunks=self.store,
                read=lambda held: self.store.verify(held.chunk_id),
                on_damage=self.store.on_damage,
                stamp=self.stamp,
                fellows=self,
                members=self,
                giving=self,
                whereabouts=self,
                roots=village.roots,
                witness=village.roots,
                settings=lambda: self.options,
                busy=lambda: self.busy,
                telling=self.told,
                happenings=self.told,
                damaged=self._damaged,
            ),
            folder / node_id,
            Random(1),
        )
        for part in ("scrub", "repair", "surplus", "inspector", "evidence"):
            getattr(self.upkeep, part).clock_unix_s = village.clock
        self.upkeep.surplus.clock_s = village.clock
        self.upkeep.census.clock_s = village.clock
        self.upkeep.repair.clock_s = village.clock
        self.upkeep.scrub.clock_s = village.clock
        self.upkeep.scrub.sleep = village.sleep
        self.upkeep.repair.sleep = village.sleep

    def _damaged(self, damaged: int, lost: int) -> None:
        self.reported = (damaged, lost)

    # -- As the others see it

    def others(self) -> Sequence[Site]:
        return [node.own for node in self.village.nodes.values() if node is not self and node.up]

    def buckets(self) -> Sequence[Site]:
        return []

    def away(self) -> Sequence[NodeId]:
        return [node.id for node in self.village.nodes.values() if not node.up]

    def name(self, node: NodeId) -> str:
        return node

    def standings(self) -> dict[NodeId, Standing]:
        lost = Presence.GONE if self.village.settled else Presence.AWAITED
        return {
            node.id: Standing(
                node.own,
                Presence.HERE if node.up else lost,
                node.draining,
                node.generation,
                frozenset({node.store.volume}),
                node.upkeep.census.dropped,
            )
            for node in self.village.all
        }

    def frozen(self) -> bool:
        return self.village.frozen

    def begun(self) -> bool:
        return self.village.begun

    def stamp(self) -> object:
        return self.store.health().chunks

    async def give(self, held: Held, policy: Policy, holders: Sequence[NodeId]) -> Sequence[NodeId]:
        """To the first nodes that have none, as many as are missing."""
        free = [
            node
            for node in self.village.all
            if node.up and not node.draining and node.id not in holders
        ]
        if not free:
            raise McError("COPIES_MISSING", "nobody is left to take one")
        takers = free[: policy.replicas - len(holders)]
        for taker in takers:
            await taker.push_here(self.id, held.chunk_id, "")
        return [taker.id for taker in takers]

    def is_draining(self, node: NodeId) -> bool:
        return self.village.nodes[node].draining

    async def holders(self, chunk_id: bytes) -> Sequence[NodeId]:
        return [*(site.node for site in self.others()), *self.away()]

    async def prove(
        self, node: NodeId, chunk_ids: Sequence[bytes], nonce: bytes, fresh_s: float = 0.0
    ) -> Sequence[Proof]:
        other = await self.village.reach(node)
        proofs = []
        for chunk_id in chunk_ids:
            held = await other.store.find([chunk_id])
            if not held:
                proofs.append(Proof(node, missing=True, reason="NOT_FOUND"))
                continue
            try:
                found = await other.store.verify(chunk_id, nonce)
                proofs.append(Proof(node, held[0].volume, good=True, proof=found.proof))
            except McError as bad:
                proofs.append(Proof(node, held[0].volume, reason=bad.reason))
        await self.village.reach(node)
        return proofs

    async def promise(
        self, node: NodeId, chunk_ids: Sequence[bytes], keep_s: float
    ) -> Collection[bytes]:
        other = await self.village.reach(node)
        pin = Pin(f"promise/{self.id}", self.village.clock() + keep_s)
        found = {held.chunk_id for held in await other.store.have(chunk_ids, pin)}
        await self.village.reach(node)
        return found

    async def push_here(self, node: NodeId, chunk_id: bytes, job: str) -> None:
        other = await self.village.reach(node)
        reading = await other.store.read(chunk_id)
        put = await self.store.put(reading.held.file_bytes)
        await put.write(reading.envelope.header)
        async for frame in reading.frames():
            await put.write(frame)
        await put.write(reading.envelope.trailer)
        await put.commit(reading.envelope, None)

    async def take(self, chunk: Chunk, pin: Pin | None = None) -> None:
        put = await self.store.put(len(chunk.file))
        await put.write(chunk.file)
        await put.commit(chunk.envelope(), pin)

    async def has(self, chunk_id: bytes) -> bool:
        return bool(await self.store.find([chunk_id]))

    async def keeps_file(self, chunk_id: bytes) -> bool:
        """Among the living or in the trash: on disk."""
        trashed = [one.held.chunk_id for one in await self.store.trashed()]
        return chunk_id in trashed or await self.has(chunk_id)


class Village:
    """`pause` is what every call to another node waits for, twice: so races can be made."""

    def __init__(self, folder: Path, count: int = 4, options: Options | None = None) -> None:
        self.clock = Clock()
        self.roots = Roots(self.clock)
        self.settled = True  # Whoever is lost is gone for good.
        self.frozen, self.begun = False, True
        self.options = options or Options()
        self.pause: Callable[[], Awaitable[None]] = no_pause
        self.nodes: dict[NodeId, Node] = {}
        for number in range(1, count + 1):
            node_id = f"{number:016x}"
            self.nodes[node_id] = Node(self, node_id, "abcdef"[number - 1], folder)

    @property
    def all(self) -> list[Node]:
        return list(self.nodes.values())

    async def reach(self, node: NodeId) -> Node:
        await self.pause()
        if not self.nodes[node].up:
            raise McError("UNREACHABLE", f"{node} does not answer")
        return self.nodes[node]

    async def sleep(self, seconds: float) -> None:
        self.clock.now_s += seconds
        await asyncio.sleep(0)

    async def store(self, chunk: Chunk, *nodes: Node, live: Policy | None = THREE) -> None:
        for node in nodes or self.all:
            await node.take(chunk)
        if live is not None:
            self.roots.live[chunk.id] = live


async def no_pause() -> None:
    """Nobody is slow."""


def chunk(number: int, plain_bytes: int = 5000) -> Chunk:
    """Another one for every number."""
    return seal(Random(number).randbytes(plain_bytes), salt=Random(number).randbytes(32))
