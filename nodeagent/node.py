"""One node's parts, made and joined: identity, audit, guard, peers, services. No life of its own;
the daemon starts and stops it.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any

import grpc
import structlog

from coordinator.distance import Measured
from coordinator.events import LeaveAsked, PeerMet, RemovalDecided
from coordinator.types import Knowing, NodeId, View
from identity.store import NodeIdentity
from multicloud import regions
from multicloud.errors import McError
from multicloud.v1 import admin_pb2, common_pb2
from nodeagent.body import Body
from nodeagent.clouds.making import NodeClouds
from nodeagent.config.live import LiveConfig
from nodeagent.core.bucket import Buckets
from nodeagent.council.making import NodeCouncil
from nodeagent.driver import Driver, settings_of
from nodeagent.history.making import NodeHistory
from nodeagent.jobs.plane_making import JobParts, NodeJobs
from nodeagent.known import Known
from nodeagent.ops.audit import AuditLog
from nodeagent.ops.audit_heads import HeadStore
from nodeagent.ops.decisions import Decisions
from nodeagent.ops.folder import StateFolder
from nodeagent.ops.heartbeat import Heartbeat
from nodeagent.ops.stderr import CoreLine
from nodeagent.rpc import bucket_checks, checks, cloud_checks
from nodeagent.rpc.admin.audits import AuditAdmin
from nodeagent.rpc.admin.identities import IdentityAdmin
from nodeagent.rpc.admin.membership import MembershipAdmin
from nodeagent.rpc.admin.nodes import NodeAdmin
from nodeagent.rpc.admin.passing import Passing
from nodeagent.rpc.admin.placing import PlacementAdmin
from nodeagent.rpc.admin.rtts import RttAdmin
from nodeagent.rpc.admin.settings import ConfigAdmin
from nodeagent.rpc.budgets import Budgets
from nodeagent.rpc.event_service import EventInsight
from nodeagent.rpc.exchange import Exchange
from nodeagent.rpc.facts import address_of, own_facts
from nodeagent.rpc.gate import IdentityGate
from nodeagent.rpc.greeter import Greeter
from nodeagent.rpc.guard import Guard, Observer
from nodeagent.rpc.health_service import HealthService
from nodeagent.rpc.keeper import Keeper
from nodeagent.rpc.peer_service import PeerService
from nodeagent.rpc.peers import Peers
from nodeagent.rpc.record import AuditHeads, AuditRecord
from nodeagent.rpc.roster import Peer, Roster
from nodeagent.rpc.server import listen, server_options
from nodeagent.rpc.services import all_rpcs, all_services
from nodeagent.rpc.watch_links import WatchLinks
from nodeagent.rpc.watch_service import WatchService
from nodeagent.s3.making import NodeS3
from nodeagent.settings import Settings
from nodeagent.sinks.making import NodeSinks
from nodeagent.store.volumes import Volumes
from nodeagent.telemetry import Telemetry
from nodeagent.upkeep.making import NodeUpkeep
from nodeagent.wire.deliver import Deliverer
from nodeagent.wire.electing import Electing
from nodeagent.wire.ground import Watcher
from nodeagent.wire.plane import DataPlane

_log = structlog.stdlib.get_logger(__name__)
BUDGETS_MAX = 4096
FOLLOW_EVERY_S = 0.3
GOODBYE_S = 0.3
Spawn = Callable[[Coroutine[Any, Any, None]], object]


class Node:
    def __init__(
        self,
        live: LiveConfig,
        settings: Settings,
        folder: StateFolder,
        identity: NodeIdentity,
        observer: Observer,
        watcher: Telemetry,
        store: Volumes,
        spawn: Spawn,
        ready: Callable[[], bool],
        healthy: Callable[[], bool],
        rng: Random | None = None,
        job_parts: JobParts | None = None,
        clouds: NodeClouds | None = None,
    ) -> None:
        config = live.current
        self.live, self.folder, self.identity, self.clouds = live, folder, identity, clouds
        self.telemetry, self._observer = watcher, observer
        self.audit = AuditLog(
            folder.path / "audit",
            config.audit.file_bytes_max,
            denied_per_s=config.limits.denied_calls_per_s,
            self_uri=identity.holder.identity.uri,
        )
        self.record = AuditRecord(self.audit)
        self.known = Known(live, self.view, lambda: self.roster, lambda: self.removals.known)
        self.keeper = Keeper(identity)
        self.gate = IdentityGate(identity, identity.revocations, self.known.is_removed)
        self.peers = Peers(identity.cluster, identity.client_credentials, spawn)
        self.decisions = Decisions(folder.path)
        end_s, draining = identity.holder.not_after_unix_s, self.decisions.draining()
        own = own_facts(config, folder.generation, end_s, draining=draining)
        self.roster = Roster(own, self.known.knowing)
        self.watch_beat = Heartbeat("watch")
        self.data = self._data_plane(store, watcher, spawn)
        self.body = Body(
            own,
            folder,
            self.watch_beat,
            self.known.watch_address,
            self.known.name_of,
            self.data.room,
        )
        self.regions, brain = regions.load(), settings_of(config.watch)
        self.driver = Driver(self.body, brain, rng or Random(), self.regions.rtt_ms)
        self.deliverer = self._deliverer(store)
        self.upkeep, self.council = self._upkeep(watcher), self._council(watcher)
        self.jobs = NodeJobs(self, job_parts or JobParts(clouds=clouds))
        self.s3, self.sinks = NodeS3(self, observer), NodeSinks(self)
        self.history = NodeHistory(self)
        self.removals = self.council.removals(self.decisions, self.driver.post, self._end_removed)
        for node_id in config.dev.peers:
            self.roster.peer(node_id)
        kept = HeadStore(folder.path / "audit" / "heads")
        self.heads = AuditHeads(self.audit, kept, identity, lambda: live.current.audit)
        self.exchange = self._exchange()
        self.greeter = self._greeter()
        self.guards: list[Guard] = []
        self._servicers = self._services(settings, ready, healthy)

    def _data_plane(self, store: Volumes, watcher: Watcher, spawn: Spawn) -> DataPlane:
        """Its connections are its own: no control call waits behind data."""
        return DataPlane(
            self.roster.own.id,
            store,
            Peers(self.identity.cluster, self.identity.client_credentials, spawn),
            self.known.api_address,
            self.known.cloud_of,
            self.known.round_s_of,
            lambda: self.live.current.limits,
            watcher,
        )

    def _deliverer(self, store: Volumes) -> Deliverer:
        electing = Electing(self.driver, self.regions)
        return Deliverer(self.data.ground, self.data.client, electing, store)

    def _upkeep(self, watcher: Watcher) -> NodeUpkeep:
        return NodeUpkeep(
            self.data,
            self.body,
            self.roster,
            self,
            self.folder.path,
            lambda: self.live.current.upkeep,
            watcher,
            self.deliverer,
            hold_s=self.live.current.watch.hold_s,
            has_keys=self.identity.cluster_key is not None,
        )

    def _council(self, watcher: Watcher) -> NodeCouncil:
        known = (self.body, self.roster, self.peers, self.view, self.known.api_address)
        hurry, issued_unix_s = lambda: self.greeter.hurry(), self.identity.holder.not_before_unix_s
        return NodeCouncil(lambda: self.live.current, *known, hurry, watcher, issued_unix_s)

    def _exchange(self) -> Exchange:
        told = (self.roster, self.keeper, self.heads, self.council.part)
        return Exchange(*told, self._revoked, self._renewed, self._met)

    def _greeter(self) -> Greeter:
        live = self.live
        return Greeter(
            links=self.peers,
            exchange=self.exchange,
            settings=lambda: live.current.join,
            join=lambda: live.current.join.peers,
            address_of=lambda peer: address_of(live.current, self.roster.own, peer),
            targets=self._to_greet,
            on_change=self._peer_changed,
        )

    def _services(
        self, settings: Settings, ready: Callable[[], bool], healthy: Callable[[], bool]
    ) -> Mapping[str, Sequence[object]]:
        passing = Passing(self.roster, self.peers)
        identities = IdentityAdmin(passing, self.keeper, self._renewed, self._revoked)
        nodes = NodeAdmin(self.identity.cluster, passing, self, self.council.shown)
        served = frozenset(service.full_name for service in all_services())
        return {
            "PeerService": [PeerService(self.exchange)],
            "ChunkService": [self.data.service, self.jobs.datasets.naming],
            "CouncilService": [self.council.service],
            **self.jobs.services,
            **self.s3.services,
            "AdminService": [
                nodes,
                identities,
                MembershipAdmin(passing, self),
                RttAdmin(self.driver),
                PlacementAdmin(self.driver, self.regions),
                ConfigAdmin(passing, settings),
                AuditAdmin(passing, self.heads),
                self.upkeep.admin(passing),
                self.council.backups,
            ],
            "InsightService": [
                EventInsight(self.roster.own.id, self.body.events),
                *self.jobs.insight,
                self.history.insight,
                self.sinks.service,
            ],
            "Health": [HealthService(ready, healthy, served)],
        }

    def api_server(self) -> grpc.aio.Server:
        self.api_guard = self._guard(self._servicers)
        return self._server(self.live.current.listen.api, "listen.api", self.api_guard)

    async def watch_server(self, group: asyncio.TaskGroup) -> grpc.aio.Server:
        """Made inside the watch's loop, with all that lives there."""
        links = self._links = WatchLinks(
            cluster=self.identity.cluster,
            credentials=self.identity.client_credentials,
            address_of=self.known.watch_address,
            rng=Random(),
            on_event=self.driver.handle,
            group=group,
        )
        await self.driver.run(links, group)
        for node in self.removals.known:
            self.driver.handle(RemovalDecided(node))
        guard = self._guard(
            {"Health": self._servicers["Health"], "WatchService": [WatchService(links)]}
        )
        return self._server(self.live.current.listen.watch, "listen.watch", guard)

    def _guard(self, servicers: Mapping[str, Sequence[object]]) -> Guard:
        limits = self.live.current.limits
        buckets = Buckets(limits.control_calls_per_s, limits.control_calls_burst, BUDGETS_MAX)
        guard = Guard(
            rpcs=all_rpcs(servicers),
            gate=self.gate,
            budget=Budgets(buckets),
            record=self.record,
            observer=self._observer,
            limits=lambda: self.live.current.limits,
        )
        self.guards.append(guard)
        return guard

    def _server(self, address: str, option: str, guard: Guard) -> grpc.aio.Server:
        server = grpc.aio.server(options=server_options(self.live.current.limits))
        server.add_generic_rpc_handlers((guard,))
        listen(server, address, self.identity.credentials(), option)
        return server

    def peers_by_state(self) -> dict[tuple[str, ...], float]:
        states = [self.roster.state(p) for p in list(self.roster.peers.values())]
        names = [common_pb2.NodeState.Name(s).removeprefix("NODE_STATE_").lower() for s in states]
        return {(name,): float(names.count(name)) for name in set(names)}

    def config_changed(self) -> None:
        """What the parts keep of the configuration follows a reload."""
        limits = self.live.current.limits
        shape = (limits.control_calls_per_s, limits.control_calls_burst)
        self._of_each_guard(lambda guard: guard.budget.reshape(*shape))
        self.audit.limit_denied(limits.denied_calls_per_s)

    def _revoked(self) -> None:
        self._of_each_guard(lambda guard: guard.end_revoked())
        self.greeter.hurry()
        _log.warning("revocations_learned", known=len(self.keeper.revocations()))

    def _of_each_guard(self, work: Callable[[Guard], object]) -> None:
        """In the loop that the guard lives in: its calls may be touched nowhere else."""
        for guard in self.guards:
            if guard is self.api_guard:
                work(guard)
            else:
                self.driver.call(partial(work, guard))

    def _peer_changed(self, peer: Peer, what: str, why: str) -> None:
        level = _log.info if what == "peer_reached" else _log.warning
        level(what, peer=peer.name, id=peer.id, address=peer.address, why=why)

    def core_line(self, line: CoreLine) -> None:
        """gRPC's core said something; when it refused a caller, that belongs into the audit log."""
        if line.reason:
            error = McError(line.reason, f"a TLS handshake was refused: {line.why}")
            self.record.denied("TLS", None, "", error, "")
        getattr(_log, line.level)("grpc_core", source=line.source, said=line.text, why=line.why)

    def certificate_end_unix_s(self) -> float:
        return self.identity.holder.not_after_unix_s

    async def findings(self) -> list[admin_pb2.Finding]:
        name = self.roster.own.name
        await self.greeter.again()
        disk = await asyncio.to_thread(checks.disk, name, self.folder.path)
        return [
            checks.certificate(name, self.certificate_end_unix_s(), time.time()),
            disk,
            checks.audit(name, self.audit.healthy),
            *self.council.shown.findings(name),
            *checks.links(self.roster, self.greeter.unanswered),
            *bucket_checks.buckets(name, self.roster.own.domain, self.data.store.buckets),
            *await cloud_checks.clouds(name, self.clouds, self.live.current),
        ]

    # -- What is known of others

    def view(self) -> View:
        return self.driver.view()

    def measured(self) -> Mapping[NodeId, Measured]:
        return self.driver.measured()

    def _met(self, node: NodeId, generation: int) -> None:
        if self.known.knowing(node) in (None, Knowing.DEAD, Knowing.DOWN, Knowing.LEFT):
            self.driver.post(PeerMet(node, generation))

    def _to_greet(self) -> list[Peer]:
        """Neighbours of the watch, and those whom the brain has not met yet."""
        view = self.driver.view()
        return [
            peer
            for node, peer in list(self.roster.peers.items())
            if node in view.neighbours or node not in view.members
        ]

    def _renewed(self) -> None:
        end_unix_s = self.identity.holder.not_after_unix_s
        self.body.say(lambda own: setattr(own, "certificate_end_unix_s", end_unix_s))
        self.peers.renew()
        self.data.peers.renew()
        self.greeter.hurry()

    async def follow(self) -> None:
        """The address book and the disk follow gossip, until it is cancelled."""
        while True:
            view = self.driver.view()
            self.roster.follow(view)
            await self.removals.follow(view)
            await asyncio.sleep(FOLLOW_EVERY_S)

    def _end_removed(self) -> None:
        self._of_each_guard(lambda guard: guard.end_revoked())

    async def tell_volumes(self) -> None:
        """What is said of the own volumes follows them, until it is cancelled."""
        await self.data.tell(self.body.say)

    def works(self) -> list[Coroutine[Any, Any, None]]:
        """What goes on in the main loop until it is cancelled."""
        parts = (self.greeter, self.upkeep, self.council, self.jobs)
        ends = (self.s3, self.sinks, self.history)
        return [
            self.follow(),
            self.tell_volumes(),
            self.data.store.run(),
            *(p.run() for p in (*parts, *ends)),
        ]

    async def close(self) -> None:
        """No further word to others."""
        await self.peers.close()
        await self.data.peers.close()
        await self.jobs.close()
        await self.council.close()

    # -- What an operator decides about this node and others

    async def drain(self, draining: bool) -> None:
        await asyncio.to_thread(self.decisions.drain, draining)
        self.body.say(lambda own: setattr(own, "draining", draining))

    async def remove(self, node: NodeId, wish: str) -> None:
        await self.removals.remove(node, wish)

    async def say_goodbye(self) -> None:
        """Tells the others that this node means to go, and gives the word time to leave."""
        self.driver.post(LeaveAsked())
        await asyncio.sleep(GOODBYE_S)
