"""How a job ends: one outcome, by the steward of the newest epoch, and a version that follows."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from coordinator.jobs.ledger import Totals
from coordinator.types import View
from multicloud.errors import McError
from multicloud.v1 import common_pb2, job_pb2, records_pb2, task_pb2
from nodeagent.council.inmemory import InMemoryCouncil
from nodeagent.jobs.contract import Results, Written
from nodeagent.jobs.header import Header, Headers, new_id
from nodeagent.jobs.plane_world import JobWorld
from nodeagent.jobs.steward_ending import Ending, Verdict, judged
from nodeagent.jobs.steward_figures import Figures
from nodeagent.jobs.steward_seen import Seen


def nowhere(node: str) -> Any:
    raise McError("UNREACHABLE", node)


WORLD = JobWorld("a", lambda: View("a", {}), str, nowhere, lambda _: "")


@dataclass
class Ended:
    figures: Figures = field(default_factory=Figures)
    seen: Seen = field(default_factory=lambda: Seen(str))

    async def settle(self) -> None:
        return

    async def chosen(self) -> AsyncIterator[task_pb2.TaskResult]:
        yield task_pb2.TaskResult()


@dataclass
class Shelf:
    name: bytes
    wait: asyncio.Event = field(default_factory=asyncio.Event)

    async def write(self, header: records_pb2.JobHeader, results: Results) -> Written:
        await self.wait.wait()
        return Written([common_pb2.ChunkRef(id=self.name)], 1, 1)


def ending(council: InMemoryCouncil, shelf: Shelf) -> Ending:
    return Ending(WORLD, Headers(council), council, shelf)


async def submitted(council: InMemoryCouncil) -> Header:
    spec = job_pb2.JobSpec(dataset="corpus")
    header = records_pb2.JobHeader(id=new_id(), spec=spec, epoch=1, steward="a", version="1")
    return await Headers(council).create(header)


async def test_an_old_steward_decides_nothing_once_another_is_named() -> None:
    council = InMemoryCouncil()
    old, new = Shelf(b"old"), Shelf(b"new")
    first = (await submitted(council)).value

    def take_over(value: records_pb2.JobHeader) -> None:
        value.steward, value.epoch = "b", 2

    async with asyncio.TaskGroup() as group:
        late = group.create_task(_reason(ending(council, old).end(first, Ended(), Verdict(), [])))
        await asyncio.sleep(0)
        second = (await Headers(council).change(first.id, take_over)).value
        old.wait.set()
        assert await late == "SUPERSEDED"
        assert not (await Headers(council).get(first.id)).decided
        new.wait.set()
        await ending(council, new).end(second, Ended(), Verdict(), [])
    outcome = (await Headers(council).get(first.id)).value.outcome
    assert [chunk.id for chunk in outcome.manifest] == [b"new"]
    record = records_pb2.VersionRecord.FromString((await council.get("version/corpus/1")).value)
    assert [chunk.id for chunk in record.manifest] == [b"new"]


async def test_a_job_that_was_cancelled_meanwhile_stays_cancelled_and_makes_no_version() -> None:
    council, shelf = InMemoryCouncil(), Shelf(b"m")
    header = (await submitted(council)).value

    def cancel(value: records_pb2.JobHeader) -> None:
        value.outcome.state = job_pb2.JOB_STATE_CANCELLED

    await Headers(council).change(header.id, cancel)
    shelf.wait.set()
    await ending(council, shelf).end(header, Ended(), Verdict(), [])
    outcome = (await Headers(council).get(header.id)).value.outcome
    assert outcome.state == job_pb2.JOB_STATE_CANCELLED
    assert not (await council.get("version/corpus/1")).version


async def _reason(work: Any) -> str:
    try:
        await work
    except McError as error:
        return error.reason
    return "OK"


@pytest.mark.parametrize(
    ("totals", "strict", "said"),
    [
        (Totals(objects_listed=3, objects_ingested=3, tasks=1), True, ""),
        (Totals(objects_listed=3, objects_ingested=2, objects_skipped=1, tasks=1), False, ""),
        (
            Totals(objects_listed=3, objects_ingested=2, objects_skipped=1, tasks=1),
            True,
            "--strict",
        ),
        (Totals(tasks=2, tasks_poisoned=2), False, "nothing could be taken in: broken"),
        (Totals(), False, ""),
    ],
)
def test_a_job_is_done_or_failed_by_its_sums(totals: Totals, strict: bool, said: str) -> None:
    found = judged(job_pb2.JobSpec(strict=strict), Verdict(), totals, ["broken"])
    assert found.startswith(said) or said in found
    assert bool(found) == bool(said)
