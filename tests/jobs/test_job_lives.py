"""Whole lives of jobs on real nodes: from a header to one outcome, whoever dies meanwhile."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from multicloud.v1 import job_pb2
from tests.jobs.crew import MIB, Crew, MemorySource, crew
from tests.support.nodes import until
from tests.support.people import People


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def three(people: People, tmp_path: Path) -> AsyncIterator[Crew]:
    files = {f"dir/{n:03}".encode(): MIB + n for n in range(25)}
    async with crew(people, tmp_path, MemorySource(files)) as found:
        yield found


async def test_a_job_is_listed_done_by_all_and_ended_once(three: Crew) -> None:
    job = (await three.submit()).id
    outcome = await three.ended(job)
    assert outcome.state == job_pb2.JOB_STATE_DONE, outcome.error
    assert outcome.counts.objects_listed == outcome.counts.objects_ingested == 25
    assert outcome.counts.bytes_in == sum(three.source.files.values())
    assert len(three.shelf.results[job]) == outcome.counts.chunks == outcome.counts.chunks_safe
    council = three.nodes[2].node.council.part.council
    await until(lambda: council.list("version/corpus/1"))


async def test_a_steward_that_dies_is_succeeded_and_nothing_done_is_done_again(
    three: Crew,
) -> None:
    three.hands[1].slots = 0  # The steward's own node only dispatches.
    job = (await three.submit()).id
    await until(lambda: len(three.done) >= 8)
    three.hold()
    before = list(three.done)
    steward = three.header(job).steward
    number = next(n for n, r in three.nodes.items() if r.node.jobs.world.own == steward)
    await three.stop(number)
    three.let_go()
    outcome = await three.ended(job)
    assert outcome.state == job_pb2.JOB_STATE_DONE, outcome.error
    assert outcome.counts.objects_ingested == 25
    assert three.header(job).epoch > 1
    assert three.header(job).steward != steward
    again = [task for task in three.done if three.done.count(task) > 1]
    assert not set(again) & set(before)
