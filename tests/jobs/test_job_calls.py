"""JobService as people call it: any node answers, a request is one job, changes are decisions."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest

from multicloud.errors import McError
from multicloud.v1 import job_pb2, job_pb2_grpc
from tests.jobs.crew import MIB, Crew, MemorySource, crew
from tests.support.nodes import channel, refused, until
from tests.support.people import People


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
async def three(people: People, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Crew]:
    files = {f"dir/{n:03}".encode(): MIB + n for n in range(12)}
    async with crew(people, tmp_path_factory.mktemp("three"), MemorySource(files)) as found:
        yield found


@pytest.fixture
async def asked(three: Crew, people: People) -> AsyncIterator[dict[int, Any]]:
    """The service of each node, as an operator sees it."""
    async with AsyncExitStack() as stack:
        who = people.operator("olga", "operator")
        stubs = {}
        for number, node in three.nodes.items():
            opened: grpc.aio.Channel = await stack.enter_async_context(channel(node, who))
            stubs[number] = job_pb2_grpc.JobServiceStub(opened)
        yield stubs


def wanted(name: str, request: str = "", **more: Any) -> job_pb2.CreateJobRequest:
    policy = job_pb2.Policy(
        replicas=3, spread=[job_pb2.SpreadRule(level=job_pb2.SPREAD_LEVEL_NODE, count=3)]
    )
    spec = job_pb2.JobSpec(
        dataset=name, source="memory://", policy=policy, chunk_size_bytes=MIB, **more
    )
    return job_pb2.CreateJobRequest(request_id=request, spec=spec)


async def until_true(fact: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await fact():
            await asyncio.sleep(0.05)


async def seen(stub: Any, job: str) -> job_pb2.Job:
    found: job_pb2.Job = (await stub.GetJob(job_pb2.GetJobRequest(job=job))).job
    return found


async def test_a_job_is_watched_to_its_end_through_any_node(
    three: Crew, asked: dict[int, Any]
) -> None:
    made = (await asked[1].CreateJob(wanted("watched"))).job
    assert made.version == "1"
    assert len(made.keepers) == 3
    states = [w.job async for w in asked[2].WatchJob(job_pb2.WatchJobRequest(job=made.id))]
    last = states[-1]
    assert last.state == job_pb2.JOB_STATE_DONE, last
    assert last.counts.objects_ingested == 12
    assert last.cost.spent_usd == pytest.approx(0.01 * last.counts.chunks)
    receipt = [part async for part in asked[3].GetReceipt(job_pb2.GetReceiptRequest(job=made.id))]
    chunks = [part.chunk for part in receipt[1:]]
    assert receipt[0].job.id == made.id
    assert [chunk.index for chunk in chunks] == list(range(last.counts.chunks))
    assert all(chunk.copies for chunk in chunks)


async def test_one_request_is_one_job_and_another_under_its_id_is_refused(
    asked: dict[int, Any],
) -> None:
    first = (await asked[1].CreateJob(wanted("once", "r1"))).job
    second = (await asked[3].CreateJob(wanted("once", "r1"))).job
    assert second.id == first.id
    assert second.version == first.version == "1"
    error = await refused(asked[2].CreateJob(wanted("twice", "r1")))
    assert error.reason == "REQUEST_ID_REUSED"
    again = (await asked[2].CreateJob(wanted("once", "r2"))).job
    assert again.version == "2"


async def test_a_paused_job_starts_nothing_until_it_is_resumed(
    three: Crew, asked: dict[int, Any]
) -> None:
    three.hold()
    job = (await asked[1].CreateJob(wanted("paused"))).job.id
    await asked[2].PauseJob(job_pb2.PauseJobRequest(job=job))
    three.let_go()

    async def state() -> job_pb2.Job:
        return await seen(asked[3], job)

    async def paused() -> bool:
        found = await state()
        return found.state == job_pb2.JOB_STATE_PAUSED and "the job is paused" in found.blocked

    await until_true(paused)
    assert not three.header(job).HasField("outcome")
    await asked[1].ResumeJob(job_pb2.ResumeJobRequest(job=job))
    outcome = await three.ended(job)
    assert outcome.state == job_pb2.JOB_STATE_DONE, outcome.error


async def test_a_cancelled_job_ends_at_once_for_good(three: Crew, asked: dict[int, Any]) -> None:
    three.hold()
    job = (await asked[1].CreateJob(wanted("cancelled"))).job.id
    await until(lambda: any(job in n.node.jobs.plane.runs for n in three.nodes.values()))
    found = (await asked[3].CancelJob(job_pb2.CancelJobRequest(job=job))).job
    assert found.state == job_pb2.JOB_STATE_CANCELLED
    await until(lambda: not any(job in n.node.jobs.plane.runs for n in three.nodes.values()))
    three.let_go()
    error = await refused(asked[2].ResumeJob(job_pb2.ResumeJobRequest(job=job)))
    assert "cancelled" in error.message


async def test_a_source_that_is_away_makes_the_job_wait_until_it_is_back(
    three: Crew, asked: dict[int, Any]
) -> None:
    three.source.away = "the laptop is closed"
    job = (await asked[1].CreateJob(wanted("away"))).job.id

    async def waiting() -> bool:
        found = await seen(asked[2], job)
        return found.state == job_pb2.JOB_STATE_WAITING and "laptop" in str(found.blocked)

    await until_true(waiting)
    three.source.away = ""
    assert (await three.ended(job)).state == job_pb2.JOB_STATE_DONE


async def test_what_nobody_can_do_is_given_up_by_name_and_strict_jobs_fail(
    three: Crew, asked: dict[int, Any]
) -> None:
    def broken(task: Any) -> McError | None:
        named = any(one.path == b"dir/003" for one in task.inputs)
        return McError("INPUT_BROKEN", "it is no parquet") if named else None

    for hand in three.hands.values():
        hand.refuse = broken
    job = (await asked[1].CreateJob(wanted("strict", strict=True))).job.id
    outcome = await three.ended(job, 40)
    assert outcome.state == job_pb2.JOB_STATE_FAILED
    assert outcome.counts.objects_skipped == 1
    for hand in three.hands.values():
        hand.refuse = lambda _: None
    again = (await asked[2].RetryJob(job_pb2.RetryJobRequest(job=job))).job
    assert again.epoch == 2
    await until(lambda: three.header(job).outcome.state == job_pb2.JOB_STATE_DONE, 30)
    assert three.header(job).outcome.counts.objects_ingested == 12


async def test_a_job_that_costs_more_than_it_may_fails(three: Crew, asked: dict[int, Any]) -> None:
    job = (await asked[1].CreateJob(wanted("dear", usd_max=0.03))).job.id
    outcome = await three.ended(job)
    assert outcome.state == job_pb2.JOB_STATE_FAILED
    assert "--max-usd" in outcome.error


@pytest.mark.parametrize(
    ("change", "reason", "said"),
    [
        ({"dataset": "No Name"}, "BAD_REQUEST", ""),
        ({"pipeline_toml": "input = 'tape'"}, "PIPELINE_INVALID", ""),
        (
            {"policy": job_pb2.Policy(replicas=4)},
            "POLICY_IMPOSSIBLE",
            "--replicas",
        ),
    ],
)
async def test_what_can_never_be_is_refused_before_anything_is_decided(
    asked: dict[int, Any], change: dict[str, Any], reason: str, said: str
) -> None:
    request = wanted("refused")
    request.spec.MergeFrom(job_pb2.JobSpec(**change))
    error = await refused(asked[1].CreateJob(request))
    assert error.reason == reason
    assert said in error.next


async def test_a_plan_says_what_there_is_and_what_it_survives(asked: dict[int, Any]) -> None:
    plan = await asked[2].PlanJob(job_pb2.PlanJobRequest(spec=wanted("planned").spec))
    assert plan.listing_complete
    assert (plan.objects, plan.chunks) == (12, 1 + 11 * 2), "the first is exactly a chunk"
    assert plan.survival.nodes == 2
    assert len(plan.readers) == 3


async def test_jobs_are_listed_by_state_in_pages(three: Crew, asked: dict[int, Any]) -> None:
    request = job_pb2.ListJobsRequest(page_size=2)
    first = await asked[1].ListJobs(request)
    assert len(first.jobs) == 2
    request.page_token = first.next_page_token
    second = await asked[1].ListJobs(request)
    assert not {job.id for job in first.jobs} & {job.id for job in second.jobs}
    only = job_pb2.ListJobsRequest(states=[job_pb2.JOB_STATE_CANCELLED])
    found = (await asked[3].ListJobs(only)).jobs
    assert [job.spec.dataset for job in found] == ["cancelled"]


async def test_a_job_that_nobody_knows_is_not_found(asked: dict[int, Any]) -> None:
    error = await refused(asked[1].GetJob(job_pb2.GetJobRequest(job="z" * 20)))
    assert error.reason == "NOT_FOUND"


async def test_a_source_that_only_a_laptop_can_list_is_planned_as_it_has_counted_it(
    three: Crew, asked: dict[int, Any]
) -> None:
    three.source.away = "its job is not there yet"
    try:
        counted = job_pb2.CountedSource(objects=5, bytes=10 * MIB + 1, complete=True)
        request = job_pb2.PlanJobRequest(spec=wanted("planned").spec, counted=counted)
        plan = await asked[1].PlanJob(request)
    finally:
        three.source.away = ""
    assert (plan.objects, plan.bytes, plan.chunks) == (5, 10 * MIB + 1, 11)
    assert plan.listing_complete
    assert sum(target.bytes for target in plan.targets) > 29 * MIB, "three copies of it"
