"""Jobs of real nodes over a bucket that some of them may read: who lists, who reads, who waits."""

import os

import pytest

from multicloud.errors import McError
from multicloud.v1 import job_pb2, read_pb2
from multicloud.v1.job_pb2_grpc import JobServiceStub
from multicloud.v1.read_pb2_grpc import DatasetServiceStub
from nodeagent.rpc.access import OPERATOR
from tests.sources.ground import laptop
from tests.sources.town import GRANT, Town, ended, spec
from tests.support.nodes import until
from tests.support.people import People


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
        etags = {one.key.removeprefix("raw/"): one.pin for one, _ in town.views[1].objects.values()}
        assert {one.path.decode(): one.origin_etag for one in listed.files} == etags


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
