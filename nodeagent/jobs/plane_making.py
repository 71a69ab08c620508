"""The jobs of a real node: joined with its council, its members, its wire and its disks."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from coordinator.jobs.settings import StewardSettings
from coordinator.types import NodeId
from identity.store import NodeIdentity
from multicloud.errors import McError
from multicloud.regions import Regions
from multicloud.v1 import job_pb2, records_pb2
from nodeagent.clouds.contract import Clouds
from nodeagent.clouds.making import NodeClouds
from nodeagent.config.live import LiveConfig
from nodeagent.core.chunk.keys import ClusterKey
from nodeagent.council.making import NodeCouncil
from nodeagent.driver import Driver
from nodeagent.jobs import job_receipt
from nodeagent.jobs.contract import Manifests, Sources, Working
from nodeagent.jobs.datasets.making import Datasets
from nodeagent.jobs.exporting.service import ExportService
from nodeagent.jobs.exporting.writing import Writing
from nodeagent.jobs.header_making import Making
from nodeagent.jobs.job_chunks import JobChunks
from nodeagent.jobs.job_service import JobService
from nodeagent.jobs.plane import JobPlane, Neighbours
from nodeagent.jobs.plane_manifests import DeliveredManifests
from nodeagent.jobs.plane_working import WorkingMeans, worker
from nodeagent.jobs.plane_world import JobWorld
from nodeagent.jobs.planning_estimate import Estimating
from nodeagent.jobs.sources.making import SourcesPart, sources_part
from nodeagent.jobs.steward_safety import DeliveredSafety, Safety
from nodeagent.jobs.traces.links import Budgeted, LinkInsight
from nodeagent.jobs.traces.making import Fellows, keeping
from nodeagent.jobs.traces.of_ended import tell_end
from nodeagent.jobs.traces.of_job import OfJobs
from nodeagent.jobs.traces.service import Here, TraceInsight
from nodeagent.jobs.working.worker import Worker
from nodeagent.ops.folder import StateFolder
from nodeagent.process.pool import Pool, limits_of
from nodeagent.rpc.admin.passing import Passing
from nodeagent.rpc.call import Call
from nodeagent.rpc.peers import Peers
from nodeagent.rpc.roster import Roster
from nodeagent.telemetry import Telemetry
from nodeagent.upkeep.making import NodeUpkeep
from nodeagent.wire.deliver import Deliverer
from nodeagent.wire.plane import DataPlane

CLUSTER_KEY_VERSION = 1


@dataclass(frozen=True, slots=True)
class JobParts:
    """Parts that take the place of the node's own; None: the node's own."""

    sources: Sources | None = None
    working: Working | None = None
    manifests: Manifests | None = None
    safety: Safety | None = None
    settings: StewardSettings = field(default_factory=StewardSettings)
    clouds: Clouds | None = None


class Surroundings(Protocol):
    """What a node has made already when it comes to its jobs."""

    @property
    def live(self) -> LiveConfig: ...
    @property
    def folder(self) -> StateFolder: ...
    @property
    def identity(self) -> NodeIdentity: ...
    @property
    def roster(self) -> Roster: ...
    @property
    def peers(self) -> Peers: ...
    @property
    def council(self) -> NodeCouncil: ...
    @property
    def data(self) -> DataPlane: ...
    @property
    def deliverer(self) -> Deliverer: ...
    @property
    def driver(self) -> Driver: ...
    @property
    def upkeep(self) -> NodeUpkeep: ...
    @property
    def regions(self) -> Regions: ...
    @property
    def clouds(self) -> NodeClouds | None: ...
    @property
    def telemetry(self) -> Telemetry: ...


class NodeJobs:
    def __init__(self, node: Surroundings, parts: JobParts) -> None:
        part, own = node.council.part, node.roster.own
        council, around = part.council, part.world
        self.world = JobWorld(
            own.id,
            around.view,
            around.name_of,
            around.channel_to,
            part.volume_of,
            parts.settings,
        )
        key = node.identity.cluster_key
        cluster_keys = {} if key is None else {CLUSTER_KEY_VERSION: ClusterKey(1, key)}
        wire, upkeep, store = node.deliverer, node.upkeep, node.data.store
        self.datasets = Datasets(
            council, wire.ground, wire.client, store, upkeep.members, cluster_keys
        )
        upkeep.also_named_by(self.datasets.roots)
        upkeep.also_knows_keys_of(self.datasets.keyring)
        upkeep.links_to(self.datasets.trace_of)
        self.keyring = self.datasets.keyring
        here = sources_part(
            self.world,
            node.data.ground.links,
            council,
            lambda: node.live.current,
            parts.clouds,
            node.regions,
        )
        sources = parts.sources or here.sources
        sealed = DeliveredManifests(self.keyring, node.deliverer, self.world, node.folder.path)
        self._pool = Pool(limits_of(node.live.current.process))
        self._traces = keeping(self.world, node.telemetry)
        own_worker = self._worker(node, sources)
        near = Neighbours(
            council=council,
            sources=sources,
            sources_part=here,
            working=parts.working or own_worker,
            manifests=parts.manifests or sealed,
            safety=parts.safety or DeliveredSafety(node.deliverer, self.world),
            store=store,
            make_batch=lambda request, who: self._job_service.make(request, who),
            ended=lambda header, run: tell_end(node.telemetry, header, run.seen, run.figures),
        )
        self.plane = JobPlane(self.world, near, node.folder.path, self.datasets)
        upkeep.also_waits_for(self.plane.keeps)
        upkeep.knows_ended_jobs(self.plane.has_ended)
        self._job_service = self._made_job_service(node, sources)
        self._services = {
            **self.plane.services,
            "JobService": [self._job_service],
            "ExportService": [self._export_service(node, here, parts.clouds)],
        }
        self.insight = (self._trace_insight(node), self._link_insight(node, own_worker))

    def _export_service(
        self, node: Surroundings, here: SourcesPart, clouds: Clouds | None
    ) -> ExportService:
        return ExportService(
            self.world,
            self.datasets.reading,
            here.sources.readers,
            Writing(node.roster.own.name, self.datasets.reading, clouds),
            node.regions.prices_of.isoformat(),
        )

    def _worker(self, node: Surroundings, sources: Sources) -> Worker:
        return worker(
            WorkingMeans(
                self.world,
                lambda: node.live.current,
                sources,
                node.deliverer,
                self.keyring,
                lambda: self.plane.keeping,
                self._pool,
                node.telemetry,
                self._traces,
                self.datasets,
            )
        )

    @property
    def services(self) -> Mapping[str, Sequence[object]]:
        return self._services

    async def run(self) -> None:
        """Until it is cancelled."""
        async with self._pool, asyncio.TaskGroup() as group:
            group.create_task(self._traces.run())
            await self.plane.run()

    async def close(self) -> None:
        await self.plane.close()

    def _made_job_service(self, node: Surroundings, sources: Sources) -> JobService:
        prices_date = node.regions.prices_of.isoformat()
        store = node.data.store
        return JobService(
            self.plane,
            Making(
                self.world,
                node.council.part.council,
                self.plane.headers,
                self.keyring,
                lambda text: self._pool.check(text, "pipeline", node.live.current.process.calls),
                lambda: node.live.current.telemetry.trace_one_in,
            ),
            Estimating(
                self.world,
                sources,
                node.deliverer.brain,
                prices_date,
                node.regions,
                lambda: [header.value for header in self.plane.known.values()],
            ),
            lambda to, asked, call: _asked(node, to, asked, call),
            JobChunks(node.data.ground, store, self.keyring).plain,
            node.telemetry,
        )

    def _link_insight(self, node: Surroundings, own_worker: Worker) -> LinkInsight:
        brain = own_worker.parts.brain
        found = LinkInsight(
            Passing(node.roster, node.peers),
            brain.clock_s,
            brain.breakers,
            node.data.ground.usage.now,
            lambda: node.clouds.endpoints() if node.clouds else [],
            lambda: [
                Budgeted(f"the source of job {job}", one.budget, one.waits)
                for job, one in list(own_worker.readings.items())
            ],
        )
        node.telemetry.gauge("mc.breakers", found.by_state, "state")
        node.telemetry.gauge("mc.retries.refused", found.refused)
        return found

    def _trace_insight(self, node: Surroundings) -> TraceInsight:
        plane, own = self.plane, node.roster.own

        async def header(job: str) -> records_pb2.JobHeader:
            return (plane.known.get(job) or await plane.headers.get(job)).value

        return TraceInsight(
            Here(own.id, own.name, own.domain.cloud),
            node.telemetry,
            Fellows(self.world, node.roster, node.peers),
            OfJobs(header, lambda found: job_receipt.read(found, self.world, plane.keeping)),
            lambda: node.live.current.telemetry.traces_ui,
        )


async def _asked(
    node: Surroundings, to: NodeId, asked: job_pb2.GetJobRequest, call: Call
) -> job_pb2.GetJobResponse:
    """The steward's answer, on behalf of the caller."""
    peer = node.roster.peers.get(to)
    if peer is None:
        raise McError("UNREACHABLE", f"no way to {to} is known here")
    answer: job_pb2.GetJobResponse = await node.peers.pass_on(
        peer, asked, job_pb2.GetJobResponse, call
    )
    return answer
