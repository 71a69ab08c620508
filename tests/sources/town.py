"""Three nodes before one bucket in memory: two of them stand where it is, each may be shut out."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from multicloud.errors import McError
from multicloud.v1 import job_pb2
from nodeagent.clouds.contract import Object, Page, Place
from nodeagent.clouds.memory import MemoryBucket, MemoryClouds
from nodeagent.jobs.plane_making import JobParts
from tests.sources.ground import Site
from tests.support.meeting import CALM
from tests.support.nodes import make_place, running, until
from tests.support.people import People

if TYPE_CHECKING:  # It is a name of the stubs alone.
    from multicloud.v1.job_pb2_grpc import JobServiceAsyncStub

PLACE = Place("s3", "corpus")
GRANT = "s3:ListBucket on arn:aws:s3:::corpus is missing"
PUT_GRANT = "s3:PutObject on arn:aws:s3:::corpus/out/* is missing"
ENDED = (job_pb2.JOB_STATE_DONE, job_pb2.JOB_STATE_FAILED)


class Guarded(MemoryBucket):
    """The one bucket, as one node sees it."""

    def __init__(self, number: int, objects: dict[str, tuple[Object, bytes]]) -> None:
        super().__init__(PLACE, region="us-east-1")
        self._generation = number << 32  # No two states have one pin.
        self.objects = objects
        self.forget()

    def forget(self) -> None:
        self.shut = False
        self.reads = self.puts = 0
        self.puts_left = 1 << 30

    async def page(self, prefix: str, cursor: str = "", after: str = "") -> Page:
        self._demand()
        return await super().page(prefix, cursor, after)

    def read(self, key: str, pin: str, first: int, count: int) -> AsyncIterator[bytes]:
        self._demand()
        self.reads += count > 1
        return super().read(key, pin, first, count)

    async def put(
        self, key: str, parts: AsyncIterator[bytes], size_bytes: int, *, absent: bool
    ) -> Object:
        if self.puts_left <= 0:
            raise McError("NOT_ALLOWED", PUT_GRANT)
        self.puts_left -= 1
        self.puts += 1
        return await super().put(key, parts, size_bytes, absent=absent)

    def _demand(self) -> None:
        if self.shut:
            raise McError("NOT_ALLOWED", GRANT)


class Town:
    def __init__(self) -> None:
        objects: dict[str, tuple[Object, bytes]] = {}
        self.views = {number: Guarded(number, objects) for number in (1, 2, 3)}
        self.sites: dict[int, Site] = {}

    async def put(self, key: str, data: bytes) -> None:
        async def parts() -> AsyncIterator[bytes]:
            yield data

        await MemoryBucket.put(self.views[1], key, parts(), len(data), absent=False)

    async def fill(self, objects: dict[str, bytes]) -> None:
        self.views[1].objects.clear()
        for key, data in objects.items():
            await self.put(key, data)

    async def start(self, stack: AsyncExitStack, people: People, folder: Path) -> None:
        """Nodes 1 and 2 stand where the bucket is, node 3 in another cloud."""
        for number in self.views:
            known = [site.running.address for site in self.sites.values()]
            join = {"peers": known, "greet_every_s": 0.2, "greet_timeout_s": 1.0}
            place = make_place(people, folder, number, {"join": join, "watch": CALM})
            if number == 3:
                text = place.config.read_text().replace('"aws"', '"gcp"')
                place.config.write_text(text.replace('"us-east-1"', '"us-east4"'))
            parts = JobParts(clouds=MemoryClouds(self.views[number]))
            node = await stack.enter_async_context(running(place, job_parts=parts))
            self.sites[number] = Site(node)
        await until(lambda: all(map(_sees_all, self.sites.values())), 30)

    def forget(self) -> None:
        for view in self.views.values():
            view.forget()
        for site in self.sites.values():
            site.sources.own.direct.forget()
            site.sources.readers.forget()


def _sees_all(site: Site) -> bool:
    members = site.running.node.jobs.world.view().members
    council = site.running.node.council.part.copy.epoch.members
    return len([m for m in members.values() if m.facts is not None]) == len(council) == 3


def spec(uri: str = "s3://corpus/raw/") -> job_pb2.JobSpec:
    policy = job_pb2.Policy(replicas=2, ack_copies=2)
    for level in (job_pb2.SPREAD_LEVEL_ZONE, job_pb2.SPREAD_LEVEL_CLOUD):
        policy.spread.add(level=level, count=1)
    return job_pb2.JobSpec(dataset="corpus", source=uri, policy=policy, chunk_size_bytes=1 << 20)


async def ended(jobs: "JobServiceAsyncStub", job: str) -> job_pb2.Job:
    async for said in jobs.WatchJob(job_pb2.WatchJobRequest(job=job), timeout=60):
        if said.job.state in ENDED:
            return said.job
    raise AssertionError("the watch ended before the job")
