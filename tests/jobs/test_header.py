"""A job's header: made once for a request, changed by one decision at a time."""

import asyncio

import pytest

from multicloud.errors import McError
from multicloud.v1 import job_pb2, records_pb2
from nodeagent.council.inmemory import InMemoryCouncil
from nodeagent.jobs.header import Headers, new_id, request_digest, undecided


def wanted(request: str = "r1", source: str = "file:///data") -> records_pb2.JobHeader:
    spec = job_pb2.JobSpec(dataset="corpus", source=source)
    return records_pb2.JobHeader(
        id=new_id(), spec=spec, request_id=request, request_digest=request_digest(spec)
    )


@pytest.fixture
def headers() -> Headers:
    return Headers(InMemoryCouncil())


async def test_one_request_makes_one_job(headers: Headers) -> None:
    first = await headers.create(wanted())
    second = await headers.create(wanted())
    assert second.id == first.id
    assert (await headers.create(wanted("r2"))).id != first.id


async def test_many_who_ask_the_same_at_once_get_the_same_job(headers: Headers) -> None:
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(headers.create(wanted())) for _ in range(8)]
    assert len({task.result().id for task in asked}) == 1
    assert len(list(headers.all())) == 1


async def test_another_job_under_the_same_request_is_refused(headers: Headers) -> None:
    first = await headers.create(wanted())
    with pytest.raises(McError, match="REQUEST_ID_REUSED") as refused:
        await headers.create(wanted(source="file:///other"))
    assert refused.value.facts["job"] == first.id


async def test_changes_at_once_are_all_made(headers: Headers) -> None:
    job = (await headers.create(wanted())).id

    def next_epoch(header: records_pb2.JobHeader) -> None:
        header.epoch += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(headers.change(job, next_epoch))
    assert (await headers.get(job)).value.epoch == 10


async def test_an_outcome_is_decided_once(headers: Headers) -> None:
    job = (await headers.create(wanted())).id

    def end(state: "job_pb2.JobState.ValueType") -> object:
        def edit(header: records_pb2.JobHeader) -> bool:
            if header.HasField("outcome"):
                return False
            header.outcome.state = state
            return True

        return edit

    assert undecided(headers.all())
    done = await headers.change(job, end(job_pb2.JOB_STATE_DONE))  # type: ignore[arg-type]
    late = await headers.change(job, end(job_pb2.JOB_STATE_FAILED))  # type: ignore[arg-type]
    assert done.value.outcome.state == late.value.outcome.state == job_pb2.JOB_STATE_DONE
    assert not undecided(headers.all())


async def test_a_job_that_is_not_there_is_named(headers: Headers) -> None:
    with pytest.raises(McError, match="NOT_FOUND"):
        await headers.get("nothere")


async def test_a_register_that_is_no_job_hides_no_other(headers: Headers) -> None:
    job = (await headers.create(wanted())).id
    await headers.council.compare_and_set("job/odd", 0, b"\xff\xff\xff", "by-hand")
    assert [header.id for header in headers.all()] == [job]
    with pytest.raises(McError, match="DAMAGE"):
        await headers.get("odd")
