"""A keeper's disk: facts once, plans of older stewards refused, nothing lost by a crash."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from multicloud.errors import McError
from multicloud.v1 import task_pb2
from nodeagent.jobs.keeping import Keeping

JOB = "job000001"


def page(number: int, epoch: int, cursor: str = "") -> task_pb2.Fact:
    listing = task_pb2.ListingPage(page=number, cursor=cursor)
    return task_pb2.Fact(id=f"page/{number}", epoch=epoch, page=listing)


def result(task: str) -> task_pb2.Fact:
    return task_pb2.Fact(id=f"result/{task}/w/1", result=task_pb2.TaskResult(task=task))


@pytest.fixture
async def keeping(tmp_path: Path) -> AsyncIterator[Keeping]:
    opened = Keeping(tmp_path / "ledgers")
    yield opened
    await opened.close()


async def everything(keeping: Keeping, job: str = JOB) -> list[task_pb2.Fact]:
    found: list[task_pb2.Fact] = []
    after = 0
    while rows := await keeping.read(job, after):
        found += [fact for _, fact in rows]
        after = rows[-1][0]
    return found


async def test_a_fact_is_kept_once_and_read_in_order(keeping: Keeping) -> None:
    facts = [page(0, 1), result("0.0.aa"), result("0.0.aa"), page(1, 1)]
    await keeping.append(JOB, 1, facts)
    await keeping.append(JOB, 1, facts)
    assert [f.id for f in await everything(keeping)] == ["page/0", "result/0.0.aa/w/1", "page/1"]


async def test_many_facts_are_read_in_parts(keeping: Keeping) -> None:
    await keeping.append(JOB, 0, [result(f"0.{n}.aa") for n in range(500)])
    assert len(await everything(keeping)) == 500


async def test_plans_of_an_older_steward_are_refused_and_its_results_are_taken(
    keeping: Keeping,
) -> None:
    await keeping.append(JOB, 1, [page(0, 1)])
    await keeping.open_epoch(JOB, 2, "b")
    with pytest.raises(McError, match="SUPERSEDED"):
        await keeping.append(JOB, 1, [result("0.1.aa"), page(1, 1)])
    assert [f.id for f in await everything(keeping)] == ["page/0"], "all of them or none"
    await keeping.append(JOB, 1, [result("0.1.aa")])
    assert len(await everything(keeping)) == 2


async def test_a_page_of_a_later_steward_takes_the_place_of_an_older_one(keeping: Keeping) -> None:
    await keeping.append(JOB, 1, [page(0, 1, "old")])
    await keeping.open_epoch(JOB, 2, "b")
    await keeping.append(JOB, 2, [page(0, 2, "new")])
    assert [f.page.cursor for f in await everything(keeping)] == ["new"]


async def test_one_epoch_has_one_steward(keeping: Keeping) -> None:
    await keeping.open_epoch(JOB, 2, "b")
    await keeping.open_epoch(JOB, 2, "b")
    for epoch, steward in ((2, "a"), (2, "c"), (1, "b")):
        with pytest.raises(McError, match="SUPERSEDED"):
            await keeping.open_epoch(JOB, epoch, steward)


async def test_whoever_waits_for_facts_is_told(keeping: Keeping) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(keeping.wait(JOB, 0, 10.0))
        await asyncio.sleep(0)
        await keeping.append(JOB, 0, [result("0.0.aa")])
        await waiting
    assert len(await keeping.read(JOB, 0)) == 1


async def test_appends_at_once_are_all_kept(keeping: Keeping) -> None:
    async with asyncio.TaskGroup() as group:
        for n in range(200):
            group.create_task(keeping.append(JOB, 0, [result(f"0.{n}.aa")]))
    assert len(await everything(keeping)) == 200


async def test_a_ledger_that_is_forgotten_is_gone(keeping: Keeping) -> None:
    await keeping.append(JOB, 0, [result("0.0.aa")])
    assert keeping.jobs() == [JOB]
    await keeping.forget(JOB)
    assert keeping.jobs() == []


async def test_a_name_that_is_no_job_reaches_no_file(keeping: Keeping) -> None:
    with pytest.raises(McError, match="BAD_REQUEST"):
        await keeping.append("../../etc", 0, [result("0.0.aa")])


WRITER = """
import asyncio, sys
from pathlib import Path
from multicloud.v1 import task_pb2
from nodeagent.jobs.keeping import Keeping
async def main():
    keeping = Keeping(Path(sys.argv[1]))
    for n in range(10**6):
        task = f"0.{n}.aa"
        fact = task_pb2.Fact(id=f"result/{task}/w/1", result=task_pb2.TaskResult(task=task))
        await keeping.append("job000001", 0, [fact])
        print(n, flush=True)
asyncio.run(main())
"""


def written(folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WRITER, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    folder = tmp_path / "ledgers"
    writer = await asyncio.to_thread(written, folder)
    assert writer.stdout is not None
    answered = -1
    for line in writer.stdout:
        answered = int(line)
        if answered == 50:
            os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    keeping = Keeping(folder)
    kept = {fact.result.task for fact in await everything(keeping)}
    await keeping.close()
    assert {f"0.{n}.aa" for n in range(answered + 1)} <= kept
