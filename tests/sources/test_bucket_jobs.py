"""Jobs of real nodes over a bucket that some of them may read: who lists, who reads, who waits."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from multicloud.errors import McError
from multicloud.v1 import job_pb2, read_pb2
from multicloud.v1.job_pb2_grpc import JobServiceStub
from multicloud.v1.read_pb2_grpc import DatasetServiceStub
from nodeagent.clouds.contract import Page, Place
from nodeagent.clouds.memory import MemoryBucket, MemoryClouds
from nodeagent.jobs.plane_making import JobParts
from nodeagent.rpc.access import OPERATOR
from tests.sources.ground import Site, laptop
from tests.support.meeting import CALM
from tests.support.nodes import make_place, running, until
from tests.support.people import People

PLACE = Place("s3", "corpus")
GRANT = "s3:ListBucket on arn:aws:s3:::corpus is missing"
ENDED = (job_pb2.JOB_STATE_DONE, job_pb2.JOB_STATE_FAILED)


class Guarded(MemoryBucket):
    """The one bucket, as one node sees it."""

    shut = False
    lists = reads = 0

    async def page(self, prefix: str, cursor: str = "", after: str = "") -> Page:
        self._demand()
        self.lists += 1
        return await super().page(prefix, cursor, after)

    def read(self, key: str, pin: str, first: int, count: int) -> AsyncIterator[bytes]:
        self._demand()
        self.reads += count > 1
        return super().read(key, pin, first, count)

    def _demand(self) -> None:
        if self.shut:
            raise McError("NOT_ALLOWED", GRANT)


class Town:
    def __init__(self) -> None:
        first = Guarded(PLACE, region="us-east-1")
        self.views = {number: Guarded(PLACE, region="us-east-1") for number in (1, 2, 3)}
        for view in self.views.values():
            view.objects = first.objects
        self.sites: dict[int, Site] = {}

    async def fill(self, objects: dict[str, bytes]) -> None:
        async def one(data: bytes) -> AsyncIterator[bytes]:
            yield data

        view = self.views[1]
        view.objects.clear()
        for key, data in objects.items():
            await view.put(key, one(data), len(data), absent=True)


@pytest.fixture(scope="module")
async def town(people: People, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """Nodes 1 and 2 stand where the bucket is, node 3 in another cloud."""
    found = Town()
    async with AsyncExitStack() as stack:
        for number in (1, 2, 3):
            known = [site.running.address for site in found.sites.values()]
            join = {"peers": known, "greet_every_s": 0.2, "greet_timeout_s": 1.0}
            sections = {"join": join, "watch": CALM}
            place = make_place(people, tmp_path_factory.mktemp("town"), number, sections)
            if number == 3:
                text = place.config.read_text().replace('"aws"', '"gcp"')
                place.config.write_text(text.replace('"us-east-1"', '"us-east4"'))
            parts = JobParts(clouds=MemoryClouds(found.views[number]))
            node = await stack.enter_async_context(running(place, job_parts=parts))
            found.sites[number] = Site(node)
        await until(lambda: all(_sees_all(site) for site in found.sites.values()), 30)
        yield found


def _sees_all(site: Site) -> bool:
    members = site.running.node.jobs.world.view().members
    council = site.running.node.council.part.copy.epoch.members
    return len([m for m in members.values() if m.facts is not None]) == len(council) == 3


@pytest.fixture(autouse=True)
def as_it_was(town: Town) -> None:
    for view in town.views.values():
        view.shut, view.lists, view.reads = False, 0, 0
    for site in town.sites.values():
        for uri in ("s3://corpus/raw/", "s3://corpus/none/"):
            site.sources.own.direct.doubt(uri)
        site.sources.readers._known.clear()


def spec(uri: str = "s3://corpus/raw/") -> job_pb2.JobSpec:
    policy = job_pb2.Policy(replicas=2, ack_copies=2)
    for level in (job_pb2.SPREAD_LEVEL_ZONE, job_pb2.SPREAD_LEVEL_CLOUD):
        policy.spread.add(level=level, count=1)
    return job_pb2.JobSpec(dataset="corpus", source=uri, policy=policy, chunk_size_bytes=1 << 20)


async def ended(jobs: "job_pb2.JobServiceStub", job: str) -> job_pb2.Job:  # type: ignore[name-defined]
    async for said in jobs.WatchJob(job_pb2.WatchJobRequest(job=job), timeout=60):
        if said.job.state in ENDED:
            return said.job
    raise AssertionError("the watch ended before the job")


async def test_a_job_reads_a_bucket_by_the_nodes_that_may_and_are_near_whoever_its_steward_is(
    town: Town, people: People
) -> None:
    objects = {f"raw/{n:02}": os.urandom(200_000) for n in range(20)}
    objects["raw/big"] = os.urandom(3 << 20)
    await town.fill(objects)
    town.views[1].shut = True
    async with laptop(people, "ada", OPERATOR, [town.sites[1]]) as client:
        jobs = client.stub(JobServiceStub)
        plan = await jobs.PlanJob(job_pb2.PlanJobRequest(spec=spec()), timeout=30)
        assert list(plan.readers) == ["node-2"]
        assert [(one.node, one.message) for one in plan.unable] == [("node-1", GRANT)]
        assert (plan.objects, plan.bytes) == (21, sum(map(len, objects.values())))
        made = (await jobs.CreateJob(job_pb2.CreateJobRequest(spec=spec()), timeout=30)).job
        job = await ended(jobs, made.id)
        assert job.state == job_pb2.JOB_STATE_DONE, job.error
        assert job.counts.objects_ingested == len(objects)
        assert (town.views[1].reads, town.views[3].reads) == (0, 0)
        assert town.views[2].reads >= len(objects)
        data = client.stub(DatasetServiceStub)
        listed = await data.ListFiles(read_pb2.ListFilesRequest(name="corpus"), timeout=10)
        assert {one.path.decode(): one.bytes for one in listed.files} == {
            key.removeprefix("raw/"): len(data) for key, data in objects.items()
        }
        etags = {view.key.removeprefix("raw/"): view.pin for view, _ in _all(town)}
        assert {one.path.decode(): one.origin_etag for one in listed.files} == etags


def _all(town: Town):  # type: ignore[no-untyped-def]
    return town.views[1].objects.values()


async def test_what_no_node_may_read_is_refused_with_the_grant_before_anything_is_decided(
    town: Town, people: People
) -> None:
    await town.fill({"raw/1": b"1"})
    for view in town.views.values():
        view.shut = True
    async with laptop(people, "ada", OPERATOR, [town.sites[3]]) as client:
        jobs = client.stub(JobServiceStub)
        with pytest.raises(McError) as caught:
            await jobs.CreateJob(job_pb2.CreateJobRequest(spec=spec()), timeout=30)
        assert caught.value.reason == "NOT_ALLOWED"
        assert f"node-1, node-2, node-3: {GRANT}" in caught.value.message
        town.views[3].shut = False
        with pytest.raises(McError, match="nothing in s3://corpus/none/") as caught:
            await jobs.PlanJob(job_pb2.PlanJobRequest(spec=spec("s3://corpus/none/")), timeout=30)
        assert caught.value.reason == "NOT_FOUND"


async def test_a_job_waits_while_its_grants_are_gone_says_so_and_goes_on_when_they_are_back(
    town: Town, people: People
) -> None:
    objects = {f"raw/{n:03}": os.urandom(700_000) for n in range(60)}
    await town.fill(objects)
    async with laptop(people, "ada", OPERATOR, [town.sites[1]]) as client:
        jobs = client.stub(JobServiceStub)
        made = (await jobs.CreateJob(job_pb2.CreateJobRequest(spec=spec()), timeout=30)).job
        await until(lambda: sum(view.reads for view in town.views.values()) > 8)
        for view in town.views.values():
            view.shut = True

        async def blocked() -> list[str]:
            found = await jobs.GetJob(job_pb2.GetJobRequest(job=made.id), timeout=10)
            return [why for why in found.job.blocked if GRANT in why]

        while not await blocked():
            pass
        for view in town.views.values():
            view.shut = False
        job = await ended(jobs, made.id)
    assert job.state == job_pb2.JOB_STATE_DONE, job.error
    assert (job.counts.objects_ingested, job.counts.objects_skipped) == (len(objects), 0)
