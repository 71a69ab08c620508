"""One process of nodeagentd in the simulated world: production's council, jobs and upkeep, as
`nodeagent/node.py` joins them, over a disk, a network and a clock that the world makes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

from grpc.aio import AioRpcError

from coordinator.council.acceptor import Acceptor
from coordinator.policy import Policy, Site
from coordinator.types import NodeId, View
from multicloud.errors import McError
from multicloud.status import decode
from multicloud.v1 import common_pb2, records_pb2
from nodeagent.core.upkeep_proofs import Proof
from nodeagent.council.copy import Copy
from nodeagent.council.founding import Founding
from nodeagent.council.member import Member
from nodeagent.council.part import CouncilPart, Identity, Kept
from nodeagent.jobs.datasets.roots import VersionRoots
from nodeagent.jobs.datasets.versions import Versions
from nodeagent.jobs.plane import JobPlane, Neighbours
from nodeagent.jobs.plane_world import JobWorld
from nodeagent.store.contract import Pin
from nodeagent.upkeep.fellows import ClusterMembers, EveryMember
from nodeagent.upkeep.telling_copies import TellingCopies
from nodeagent.upkeep.upkeep import Neighbours as UpkeepNeighbours
from nodeagent.upkeep.upkeep import Upkeep
from tests.sim.hosts import Host
from tests.sim.whole.calls import Wires
from tests.sim.whole.disk import FSYNC_S, LATE_S, Disk, SimDatabase, SimMemoryFile, keep_rows
from tests.sim.whole.loop import Loop
from tests.sim.whole.options import (
    COUNCIL,
    HOUR_S,
    HOURS_A_SECOND,
    STEWARD,
    Options,
    unix_s,
)
from tests.sim.whole.placing import takers
from tests.sim.whole.rules import Rules
from tests.sim.whole.sealed import sealed_as
from tests.sim.whole.working import Delivering, Hand, Steady
from tests.unit.upkeep.village import Told

GREET_S, VIEW_S, NEIGHBOURS = 1.2, 0.2, 3


@dataclass(frozen=True, slots=True)
class Greeting:
    """What one node tells another: as its greeting and its gossip do."""

    volume: str  # Of its seat in the council.
    digest: Any
    facts: common_pb2.NodeFacts


class Process:
    def __init__(
        self,
        world: Any,
        host: Host,
        disk: Disk,
        wires: Wires,
        folder: Path,
        rules: Rules,
        source: Any,
        first_start: bool,
    ) -> None:
        self.world, self.host, self.disk, self.wires = world, host, disk, wires
        self.rules = rules
        self.rng = Random(world.rng.getrandbits(64))
        self.loop = Loop(world, host)
        self.started_s = self.loop.time()
        self.volumes: dict[NodeId, str] = {}  # Of whom it heard: the disk of the council.
        self.roster = SimpleNamespace(own=self._own_facts(), peers={})
        self.lost: dict[NodeId, tuple[str, float]] = {}
        self.told = Told()
        self.greeted_s = -1.0
        self._view: View | None = None
        self._viewed_s = -1.0
        self.store = disk.store
        self.store.listen(self)
        self.council = self._council(first_start, rules)
        self.world_of_jobs = JobWorld(
            host.id, self.view, self._name_of, self._channel, self.council.volume_of, STEWARD,
            self.rng, self.unix_s,
        )  # fmt: skip
        self.versions = Versions(self.council.council, self.unix_s)
        self.roots = VersionRoots(self.versions, cast(Any, self), self.unix_s)
        self.delivering = Delivering(self)
        self.steady = Steady(self.delivering)
        self.hand = Hand(self, self.delivering)
        near = Neighbours(
            council=self.council.council,
            sources=source,
            working=self.hand,
            manifests=self.delivering,
            safety=self.steady,
            store=cast(Any, self.store),
            keeping=rules.keeping(disk, self.loop, rules.habits),
        )
        datasets = SimpleNamespace(services={})
        self.jobs = JobPlane(self.world_of_jobs, near, folder, cast(Any, datasets))
        rules.jobs(self.jobs)
        self.upkeep = self._upkeep(folder)
        self.telling = TellingCopies(self.upkeep, lambda: 1, self._say)
        rules.upkeep(self)
        self.services: Mapping[str, Any] = {
            "CouncilService": self.council.service,
            **{name: found[0] for name, found in self.jobs.services.items() if found},
        }

    def start(self) -> None:
        for work in (
            self.council.run(),
            self.jobs.run(),
            self.upkeep.run(),
            self.telling.run(),
            self._greet(),
        ):
            self.loop.spawn(self._kept_going(work))

    async def _kept_going(self, work: Awaitable[Any]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - A defect: the life tells of it.
            self.loop.broken.append(f"{self.host.name}: {_first(error)!r}")

    # --- its parts

    def _council(self, first_start: bool, rules: Rules) -> CouncilPart:
        disk, loop = self.disk, self.loop
        file = SimMemoryFile(disk, loop, first_start, rules.habits)
        acceptor: Acceptor = rules.acceptor(file.memory)
        member = Member(cast(Any, file), None, acceptor)
        keep = keep_rows(disk)

        def kept(statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
            keep(statements)
            for _, (key, _sequence, body) in statements:
                self.world.copied(key, body)

        copy = Copy(f"copy-{disk.seat.volume}", cast(Any, SimDatabase(loop, kept)))
        copy.restore(sorted(disk.rows.values(), key=lambda row: row[1]))
        founding = Founding(self.host.index == 0, 0.0, lambda: False, lambda: 0.0)
        identity = Identity(self.host.id, Path(), founding, first_start)
        return CouncilPart(
            identity,
            Kept(member, copy),
            cast(Any, self),
            lambda: cast(Any, COUNCIL),
            self.told,
            lambda _: None,
            self.rng,
        )

    def _upkeep(self, folder: Path) -> Upkeep:
        self.members = ClusterMembers(
            self,
            cast(Any, self.roster),
            lambda: {},
            self.lost,
            self.world.settings.hold_s,
            self.loop.time,
            self.loop.time(),
        )
        upkeep = Upkeep(
            UpkeepNeighbours(
                chunks=self.store,
                read=lambda held: self.store.verify(held.chunk_id),
                on_damage=self.store.on_damage,
                stamp=self.store.living,
                fellows=self,
                members=self.members,
                giving=self.delivering,
                whereabouts=EveryMember(self.members),
                roots=self.roots,
                witness=self.roots,
                settings=lambda: cast(Any, Options),
                busy=lambda: False,
                telling=self.told,
                happenings=self.told,
                damaged=lambda _damaged, _lost: None,
            ),
            folder / f"{self.host.index}",
            self.rng,
        )
        for part in (upkeep.scrub, upkeep.repair, upkeep.surplus):
            part.clock_s = self.hours_s
        for part in (upkeep.scrub, upkeep.repair, upkeep.surplus, upkeep.inspector):
            part.clock_unix_s = self.unix_s  # type: ignore[attr-defined]
        upkeep.evidence.clock_unix_s = self.unix_s
        upkeep.census.clock_s = self.loop.time
        for rate in (upkeep.surplus.rate, upkeep.shortage.rate, upkeep.evidence.rate):
            rate.clock_s = self.loop.time
        return upkeep

    def _own_facts(self) -> common_pb2.NodeFacts:
        own, domain = common_pb2.NodeFacts(id=self.host.id, name=self.host.name), self.host.domain
        own.domain.cloud, own.domain.region, own.domain.zone = (
            domain.cloud, domain.region, domain.zone,
        )  # fmt: skip
        own.volumes.add(uuid=self.disk.store.volume, state=common_pb2.VOLUME_STATE_HEALTHY)
        return own

    def _say(self, edit: Callable[[common_pb2.NodeFacts], None]) -> None:
        """It is in every greeting from now on."""
        edit(self.roster.own)

    # --- clocks

    def hours_s(self) -> float:
        """The monotonic clock, at the pace of the wall clocks."""
        return self.loop.time() * HOUR_S * HOURS_A_SECOND

    def unix_s(self) -> float:
        return unix_s(self.world.now_s, self.host)

    # --- the node around its parts

    def view(self) -> View:
        now_s = self.world.now_s
        if self._view is None or now_s - self._viewed_s >= VIEW_S:
            self._view, self._viewed_s = self.world.view(self.host), now_s
        return self._view

    def council_volume_of(self, node: NodeId) -> str:
        return self.volumes.get(node, "")

    def name_of(self, node: NodeId) -> str:
        return str(self.world.by_id[node].name)

    _name_of = name_of

    def channel_to(self, node: NodeId) -> Any:
        if node not in self.volumes:
            raise McError("UNREACHABLE", f"no address of {self.name_of(node)} is known here")
        return self.wires.channel(self, node)

    _channel = channel_to

    def explain_call(self, error: AioRpcError, node: NodeId) -> McError:
        return decode(error, node)

    def say_volume(self, volume: str) -> None:
        """It is in every greeting."""

    def greet_all(self) -> None:
        others = [host for host in self.world.hosts if host is not self.host]
        for host in self.rng.sample(others, min(len(others), NEIGHBOURS)):
            self.loop.spawn(self._greet_one(host))

    async def _greet(self) -> None:
        while True:
            others = [host for host in self.world.hosts if host is not self.host]
            await self._greet_one(self.rng.choice(others))
            await asyncio.sleep(self.rng.uniform(0.5, 1.5) * GREET_S)

    async def _greet_one(self, host: Host) -> None:
        said = self._said()

        async def greeted(other: "Process") -> Greeting:
            other.hears(said)
            return other._said()

        with suppress(McError):
            self.hears(await self.ask(host.id, greeted, 1.0))

    def _said(self) -> "Greeting":
        facts = common_pb2.NodeFacts()
        facts.CopyFrom(self.roster.own)
        return Greeting(self.disk.seat.volume, self.council.digest(), facts)

    def hears(self, said: "Greeting") -> None:
        node = said.facts.id
        self.volumes[node] = said.volume
        self.council.heard(node, said.digest)
        self.roster.peers[node] = SimpleNamespace(facts=said.facts, name=said.facts.name)

    async def ask(
        self, node: NodeId, work: Callable[["Process"], Awaitable[Any]], timeout_s: float = 4.0
    ) -> Any:
        """Work that another process does; here, when it is this one."""
        if node == self.host.id:
            return await work(self)
        return await self.wires.ask(self, node, work, timeout_s)

    # --- what the upkeep asks of others

    async def prove(
        self, node: NodeId, chunk_ids: Sequence[bytes], nonce: bytes, fresh_s: float = 0.0
    ) -> Sequence[Proof]:
        async def proves(other: "Process") -> list[Proof]:
            return [await other.proof(one, nonce, fresh_s) for one in chunk_ids]

        found: list[Proof] = await self.ask(node, proves)
        return found

    async def proof(self, chunk_id: bytes, nonce: bytes, fresh_s: float) -> Proof:
        own, held = self.host.id, await self.store.find([chunk_id])
        if not held:
            return Proof(own, missing=True, reason="NOT_FOUND")
        if fresh_s and 0 <= self.unix_s() - held[0].verified_unix_s < fresh_s:
            return Proof(own, held[0].volume, good=True)
        try:
            found = await self.store.verify(chunk_id, nonce)
        except McError as bad:
            return Proof(own, held[0].volume, reason=bad.reason)
        return Proof(own, held[0].volume, good=True, proof=found.proof)

    async def promise(
        self, node: NodeId, chunk_ids: Sequence[bytes], keep_s: float
    ) -> Collection[bytes]:
        own = self.host.id

        async def promises(other: "Process") -> set[bytes]:
            pin = Pin(f"promise/{own}", other.unix_s() + keep_s)
            found = {held.chunk_id for held in await other.store.have(chunk_ids, pin)}
            await asyncio.sleep(FSYNC_S)
            return found

        kept: set[bytes] = await self.ask(node, promises)
        return kept

    async def push_here(self, node: NodeId, chunk_id: bytes, job: str) -> None:
        async def pushes(other: "Process") -> None:
            await (await other.store.read(chunk_id)).close()

        await self.ask(node, pushes)
        await self.put(chunk_id, Pin(job) if job else None)

    async def put(self, chunk_id: bytes, pin: Pin | None) -> str:
        """Durable when it returns, on this volume."""
        sealed = sealed_as(chunk_id)
        put = await self.store.put(len(sealed.file))
        await put.write(sealed.file)
        if not self.rules.habits.chunks_synced:
            self.loop.call_later(
                LATE_S, lambda: self.loop.spawn(put.commit(sealed.envelope(), pin))
            )
            return self.store.volume
        await asyncio.sleep(FSYNC_S * self.rng.uniform(0.5, 3))
        await put.commit(sealed.envelope(), pin)
        return self.store.volume

    def takers(self, policy: Policy, chunk_id: bytes, holders: Sequence[Site]) -> list[Site]:
        return takers(policy, chunk_id, self.view(), holders)

    # --- manifests, as versions are read

    async def manifest_of(self, record: records_pb2.VersionRecord) -> Any:
        which = bytes(record.manifest[0].id)
        if not await self.store.find([which]):
            await self._elsewhere(which)
        return self.world.manifests[which]

    async def _elsewhere(self, chunk_id: bytes) -> None:
        async def has(other: "Process") -> bool:
            return bool(await other.store.find([chunk_id]))

        for site in self.members.others():
            with suppress(McError):
                if await self.ask(site.node, has, 2.0):
                    return
        raise McError("COPIES_MISSING", f"nobody who answers has manifest {chunk_id.hex()[:8]}")


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
