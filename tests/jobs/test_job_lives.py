"""Whole lives of jobs on real nodes: from a header to one outcome, whoever dies meanwhile."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from coordinator.jobs.settings import StewardSettings
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


async def test_all_nodes_may_stop_in_the_middle_and_the_job_goes_on_when_they_are_back(
    three: Crew,
) -> None:
    job = (await three.submit()).id
    await until(lambda: len(three.done) >= 8)
    three.hold()
    before = set(three.done)
    pages = three.source.pages
    places = {number: node.place for number, node in three.nodes.items()}
    for number in places:
        await three.stop(number)
    three.let_go()
    for number, place in places.items():
        await three.restart(number, place)
    outcome = await three.ended(job, 40)
    assert outcome.state == job_pb2.JOB_STATE_DONE, outcome.error
    assert outcome.counts.objects_ingested == 25
    assert len(three.shelf.results[job]) == 1 + 24 * 2, "every task once"
    assert all(three.done.count(task) == 1 for task in before)
    assert three.source.pages <= pages + 3, "what was listed is not listed again"


async def test_a_keeper_that_is_gone_is_replaced_by_another_node(
    people: People, tmp_path: Path
) -> None:
    files = {f"dir/{n:03}".encode(): MIB for n in range(25)}
    made = partial(Crew, settings=StewardSettings(replace_after_s=0.5))
    async with crew(people, tmp_path, MemorySource(files), 4, made) as four:
        job = (await four.submit()).id
        await until(lambda: len(four.done) >= 8)
        four.hold()
        lost = four.nodes[3].node.jobs.world.own
        await four.stop(3)
        keepers = await until(lambda: _others(four, job, lost), 30)
        assert four.nodes[4].node.jobs.world.own in keepers
        four.let_go()
        outcome = await four.ended(job, 30)
        assert outcome.state == job_pb2.JOB_STATE_DONE, outcome.error
        assert outcome.counts.objects_ingested == 25


def _others(found: Crew, job: str, lost: str) -> list[str]:
    """The keepers, once that one is none of them."""
    keepers = [keeper.node for keeper in found.header(job).keepers]
    return [] if lost in keepers else keepers
