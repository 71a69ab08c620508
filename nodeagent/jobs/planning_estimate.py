"""What a job would read, write, cost and survive, as far as its source can be listed in a moment.

Elections are held for a sample of its tasks, as their workers would hold them.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf

from coordinator.electorate import Ask
from coordinator.placement import Election
from coordinator.policy import Policy
from coordinator.prices import GB
from coordinator.survival import policy_survival
from coordinator.types import Domain
from multicloud.errors import McError, Retry
from multicloud.v1 import common_pb2, job_pb2, records_pb2
from nodeagent.jobs import bucket_cost
from nodeagent.jobs.contract import Reach, Sources
from nodeagent.jobs.facts import tasks_of
from nodeagent.jobs.plane_world import JobWorld
from nodeagent.jobs.planning import CHUNK_BYTES_DEFAULT, cut_of
from nodeagent.jobs.planning_pace import pace_bytes_per_s
from nodeagent.jobs.sources.nearest import Distances, usd_per_gb
from nodeagent.jobs.steward_listing import Listing
from nodeagent.rpc.admin.placing import survival_message
from nodeagent.rpc.policies import policy_of
from nodeagent.wire.deliver import Brain

LIST_S = 2.0
SAMPLE_TASKS = 16


@dataclass(slots=True)
class _Listed:
    objects: int = 0
    bytes: int = 0
    tasks: int = 0
    complete: bool = False


def _as_counted(counted: job_pb2.CountedSource, chunk_bytes: int) -> _Listed:
    tasks = max(1, -(-counted.bytes // chunk_bytes))
    return _Listed(counted.objects, counted.bytes, tasks, counted.complete)


def planned(plan: job_pb2.PlanJobResponse) -> job_pb2.Cost:
    """What of a plan a job keeps, to stand beside what it came to."""
    cost = job_pb2.Cost()
    cost.CopyFrom(plan.cost)
    cost.planned_edges.extend(cost.edges)
    cost.ClearField("edges")
    cost.planned_seconds = plan.seconds
    return cost


@dataclass(slots=True)
class Estimating:
    world: JobWorld
    sources: Sources
    brain: Brain
    prices_date: str
    distances: Distances
    headers: Callable[[], Iterable[records_pb2.JobHeader]]  # Of all jobs, as known here.

    async def plan(
        self, job: str, spec: job_pb2.JobSpec, counted: job_pb2.CountedSource
    ) -> job_pb2.PlanJobResponse:
        """A source that is away is planned as whoever asks has counted it, else as empty, and
        `listing_complete` says so.
        """
        listed, sample = await self._listed(job, spec)
        if not listed.objects and counted.objects:
            listed = _as_counted(counted, spec.chunk_size_bytes or CHUNK_BYTES_DEFAULT)
        policy = policy_of(spec.policy)
        readers = self._readers(job, spec)
        size = listed.bytes // max(1, listed.tasks) or spec.chunk_size_bytes or 1
        elections = await asyncio.to_thread(self._elections, policy, readers, sample, size)
        reach = self.sources.reach(spec.source)
        leaving = self._leaving(reach.place, readers) if reach.place else ()
        edges, cost = self._cost(elections, listed.bytes, leaving)
        bucket = bucket_cost.planned(elections, listed.tasks, listed.bytes)
        puts_usd = bucket.puts_usd if bucket else 0.0
        per_s = pace_bytes_per_s(self.headers(), spec)
        return job_pb2.PlanJobResponse(
            objects=listed.objects,
            bytes=listed.bytes,
            chunks=listed.tasks,
            seconds=listed.bytes / per_s if per_s else 0.0,
            cost=job_pb2.Cost(
                planned_usd=cost + puts_usd,
                prices_date=self.prices_date,
                edges=edges,
                bucket=bucket,
            ),
            survival=survival_message(policy_survival(policy)),
            readers=[self.world.name_of(node) for node in readers],
            targets=_targets(elections, listed.bytes),
            listing_complete=listed.complete,
            unable=self._unable(reach),
        )

    async def _listed(self, job: str, spec: job_pb2.JobSpec) -> tuple[_Listed, list[str]]:
        listed, sample = _Listed(), list[str]()
        cut, cursor = cut_of(spec), ""
        source = Listing(self.sources, job, spec)
        try:
            async with asyncio.timeout(LIST_S):
                while not listed.complete:
                    page = await source.page(0, cursor)
                    cursor = page.cursor
                    tasks = tasks_of(page, cut)
                    sample += [task.id for task in tasks[: SAMPLE_TASKS - len(sample)]]
                    listed.objects += len(page.objects)
                    listed.bytes += sum(one.size_bytes for one in page.objects)
                    listed.tasks += len(tasks)
                    listed.complete = page.last
        except TimeoutError:
            pass  # Figures are of what was listed until then.
        except McError as error:
            if error.row.retry is Retry.NEVER:
                raise
        finally:
            await source.close()
        return listed, sample or [str(n) for n in range(SAMPLE_TASKS)]

    def _readers(self, job: str, spec: job_pb2.JobSpec) -> list[str]:
        """Nodes that are there, the nearest to the source first."""
        live = [node for node in self.world.view().members if self.world.is_there(node)]
        near = {node: self.sources.nearness(job, spec.source, node) for node in live}
        return sorted((n for n in live if near[n] < inf), key=lambda n: (near[n], n))

    def _unable(self, reach: Reach) -> list[job_pb2.UnableReader]:
        return [
            job_pb2.UnableReader(
                node=self.world.name_of(node), reason=error.reason, message=error.message
            )
            for node, error in sorted(reach.unable.items())
        ]

    def _leaving(self, place: Domain, readers: Sequence[str]) -> list[tuple[str, str, float]]:
        """What the source's own cloud asks for a byte, for each that reads it."""
        domains = [self.world.domain_of(node) or Domain("", "") for node in readers]
        return [
            (place.cloud, one.cloud, usd_per_gb(place, one, self.distances) / GB) for one in domains
        ]

    def _elections(
        self, policy: Policy, readers: Sequence[str], sample: Sequence[str], size: int
    ) -> list[Election]:
        found = []
        for place, key in enumerate(sample):
            reader = readers[place % len(readers)] if readers else ""
            domain = self.world.domain_of(reader) or Domain("", "")
            found.append(self.brain.elect(Ask(policy, domain, key, size, source_node=reader), {}))
        return found

    def _cost(
        self,
        elections: Sequence[Election],
        size_bytes: int,
        leaving: Sequence[tuple[str, str, float]],
    ) -> tuple[list[job_pb2.EdgeBytes], float]:
        sums: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
        for from_cloud, to_cloud, usd_per_byte in leaving:
            sums[from_cloud, to_cloud][0] += size_bytes / len(leaving)
            sums[from_cloud, to_cloud][1] += size_bytes / len(leaving) * usd_per_byte
        share = size_bytes / max(1, len(elections))
        for election in elections:
            for edge in (*election.tree, *election.fed):
                giver = self.world.domain_of(edge.source) or election.ask.source
                taker = self.world.domain_of(edge.target) or Domain("", "")
                sums[giver.cloud, taker.cloud][0] += share
                sums[giver.cloud, taker.cloud][1] += share * edge.usd_per_gb / GB
        edges = [
            job_pb2.EdgeBytes(from_cloud=a, to_cloud=b, bytes=int(size), usd=usd)
            for (a, b), (size, usd) in sorted(sums.items())
            if a != b
        ]
        return edges, sum(usd for _, usd in sums.values())


def _targets(elections: Sequence[Election], size_bytes: int) -> list[job_pb2.PlannedTarget]:
    sums: dict[Domain, float] = defaultdict(float)
    for election in elections:
        for seat in election.targets:
            sums[seat.site.domain] += size_bytes / max(1, len(elections))
    return [
        job_pb2.PlannedTarget(
            domain=common_pb2.Domain(cloud=d.cloud, region=d.region, zone=d.zone), bytes=int(size)
        )
        for d, size in sorted(sums.items())
    ]
