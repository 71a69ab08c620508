"""What people and scripts meet of jobs: the real commands and a node that says what it is told."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mcctl.sources import local_uri
from multicloud.errors import McError
from multicloud.v1 import job_pb2
from tests.support.jobs import JOB, Account, account, chunk, ending, job
from tests.support.nodes import until
from tests.support.people import People

SOURCE = "node://node-41/srv/raw"
SUBMIT = ("submit", SOURCE, "--name", "corpus")
CreateJob = job_pb2.CreateJobRequest
RUNNING, DONE = job_pb2.JOB_STATE_RUNNING, job_pb2.JOB_STATE_DONE
COUNTS = {
    "objects_listed": 3,
    "objects_ingested": 3,
    "records_in": 10,
    "records_out": 10,
    "chunks": 2,
    "chunks_acked": 2,
    "chunks_safe": 2,
    "bytes_in": 2048,
}
# By the contract page, in its order.
CONTRACT = [
    *("job", "dataset", "version", "state", "blocked"),
    *("objects_listed", "objects_ingested", "objects_skipped"),
    *("records_in", "records_out", "records_filtered", "records_dropped", "records_quarantined"),
    *("chunks", "chunks_acked", "chunks_safe", "bytes_in", "bytes_sealed"),
    *("seconds", "trace_id", "error"),
]


def done(**counts: int) -> job_pb2.Job:
    return job(
        DONE, counts=job_pb2.JobCounts(**{**COUNTS, **counts}), seconds=4.2, source_done=True
    )


@pytest.fixture
async def ann(people: People, tmp_path: Path) -> AsyncIterator[Account]:
    async with account(people, tmp_path, 41, lambda jobs: [jobs]) as one:
        yield one


async def test_submit_without_a_terminal_returns_once_the_job_is_decided(ann: Account) -> None:
    ann.env["TRACEPARENT"] = trace = f"00-{'ab' * 16}-{'cd' * 8}-01"
    code, said, errors = await ann.types(
        *SUBMIT, *("--replicas", "2", "--spread", "cloud=2", "--near", "aws/us-east-1"),
        *("--bwlimit", "200M", "--max-usd", "40", "--include", "*.jsonl", "--request-id", "r1"),
        *("-o", "json"),
    )  # fmt: skip
    assert code == 0, errors
    assert json.loads(said) == {
        "job": JOB, "dataset": "corpus", "version": "1", "state": "listing"
    }  # fmt: skip
    (created,) = [a for a in ann.jobs.asked if isinstance(a, CreateJob)]
    spec = created.spec
    assert (created.request_id, spec.source, spec.usd_max) == ("r1", SOURCE, 40.0)
    assert (spec.policy.replicas, spec.policy.near_region) == (2, "aws/us-east-1")
    assert spec.policy.spread[0].count == 2
    assert spec.bandwidth_bytes_per_s_max == 200 << 20
    assert list(spec.include) == ["*.jsonl"]
    assert created.traceparent == trace


async def test_submit_that_waits_ends_with_all_of_the_job(ann: Account) -> None:
    process = await ann.starts(*SUBMIT, "--wait", "-o", "json")
    await until(lambda: ann.jobs.watching)
    await ann.jobs.set(done())
    code, said, errors = await ending(process)
    found = json.loads(said)
    assert code == 0, errors
    assert [name for name in found if name in CONTRACT] == CONTRACT
    assert (found["state"], found["chunks_safe"], found["error"]) == ("done", 2, None)


@pytest.mark.parametrize(
    ("counts", "option", "exit_code"),
    [
        ({"objects_skipped": 1}, (), 6),
        ({"records_quarantined": 1}, (), 6),
        ({"records_quarantined": 1}, ("--strict",), 1),
        ({"records_dropped": 5}, (), 0),
    ],
)
async def test_input_that_was_put_aside_has_an_exit_code_of_its_own(
    ann: Account, counts: dict[str, int], option: tuple[str, ...], exit_code: int
) -> None:
    await ann.jobs.set(done(**counts))
    assert (await ann.types("wait", JOB, *option))[0] == exit_code


async def test_a_job_that_failed_is_an_exit_code_and_its_reason(ann: Account) -> None:
    await ann.jobs.set(job(job_pb2.JOB_STATE_FAILED, error="mostly bad records"))
    code, said, _ = await ann.types("wait", JOB)
    assert code == 1
    assert "mostly bad records" in said
    await ann.jobs.set(job(job_pb2.JOB_STATE_CANCELLED))
    assert (await ann.types("wait", JOB))[0] == 1


async def test_waiting_for_acked_or_safe_ends_before_the_job(ann: Account) -> None:
    counts = job_pb2.JobCounts(chunks=2, chunks_acked=2, chunks_safe=1)
    await ann.jobs.set(job(counts=counts, source_done=True))
    code, said, errors = await ann.types("wait", JOB, "--for", "acked", "-o", "json")
    assert code == 0, errors
    assert json.loads(said)["state"] == "running"
    process = await ann.starts("wait", JOB, "--for", "safe")
    await until(lambda: ann.jobs.watching == 2)
    counts.chunks_safe = 2
    await ann.jobs.set(job(counts=counts, source_done=True))
    assert (await ending(process))[0] == 0
    assert (await ann.types("wait", JOB, "--for", "ever"))[0] == 2


async def test_ctrl_c_detaches_names_the_job_last_and_cancels_nothing(ann: Account) -> None:
    process = await ann.starts(*SUBMIT, "--wait")
    await until(lambda: ann.jobs.watching)
    process.send_signal(signal.SIGINT)
    code, said, errors = await ending(process)
    assert code == 130
    assert said.splitlines()[-1] == JOB
    assert f"the job {JOB} goes on" in errors
    assert not [a for a in ann.jobs.asked if isinstance(a, job_pb2.CancelJobRequest)]


async def test_detaching_says_whether_the_files_are_still_needed(ann: Account) -> None:
    spec = job_pb2.JobSpec(dataset="corpus", source="file://laptop/data")
    for source_done, words in ((False, f"submit --resume {JOB}"), (True, "needs its source no")):
        ann.jobs.watching = 0
        await ann.jobs.set(job(spec=spec, source_done=source_done))
        process = await ann.starts("watch", JOB)
        await until(lambda: ann.jobs.watching)
        process.send_signal(signal.SIGINT)
        code, _, errors = await ending(process)
        assert code == 130
        assert words in errors


async def test_a_timeout_has_its_exit_code_and_says_that_the_job_goes_on(ann: Account) -> None:
    await ann.jobs.set(job())
    code, _, errors = await ann.types("wait", JOB, "--timeout", "1")
    assert code == 124
    assert f"the job {JOB} goes on" in errors
    assert f"mcctl wait {JOB}" in errors


async def test_files_of_this_machine_are_served_until_every_byte_is_acked(ann: Account) -> None:
    (ann.folder / "data").mkdir()
    for name in ("a.txt", "b.txt", "c.bin"):
        (ann.folder / "data" / name).write_text("12345")
    process = await ann.starts("submit", "data", "--name", "corpus", "--exclude", "*.bin")
    await until(lambda: ann.jobs.watching)
    asked = [a for a in ann.jobs.asked if isinstance(a, CreateJob | job_pb2.PlanJobRequest)]
    assert {(a.counted.objects, a.counted.bytes, a.counted.complete) for a in asked} == {
        (2, 10, True)
    }, "no node can count them before the job is there"
    spec = asked[-1].spec
    assert spec.source.endswith(str(ann.folder / "data"))
    await ann.jobs.set(job(spec=spec, source_done=True))
    code, said, errors = await ending(process)
    assert (code, said.splitlines()[-1]) == (0, JOB), errors


async def test_files_that_are_gone_leave_the_job_waiting(ann: Account) -> None:
    folder = ann.folder / "data"
    folder.mkdir()
    spec = job_pb2.JobSpec(dataset="corpus", source=local_uri(folder))
    await ann.jobs.set(job(job_pb2.JOB_STATE_WAITING, spec=spec))
    process = await ann.starts("submit", "--resume", JOB, "--wait")
    await until(lambda: ann.jobs.watching)
    assert ann.jobs.found[JOB].state == RUNNING, "it was asked to go on"
    process.send_signal(signal.SIGINT)
    assert (await ending(process))[0] == 130
    folder.rmdir()
    code, _, errors = await ann.types("submit", "--resume", JOB)
    assert (code, "NOT_FOUND" in errors) == (5, True)


async def test_into_a_pipe_progress_is_lines_with_the_reason_of_every_wait(ann: Account) -> None:
    await ann.jobs.set(job(blocked=["copies wait for gcp-a"]))
    process = await ann.starts("watch", JOB)
    await until(lambda: ann.jobs.watching)
    await ann.jobs.set(done())
    code, said, errors = await ending(process)
    assert code == 0
    assert "waiting: copies wait for gcp-a" in errors
    assert "corpus@1" in said
    assert "\x1b" not in said + errors


async def test_jsonl_is_an_object_for_each_change(ann: Account) -> None:
    await ann.jobs.set(job())
    process = await ann.starts("watch", JOB, "-o", "jsonl")
    await until(lambda: ann.jobs.watching)
    assert process.stdout is not None
    first = json.loads(await process.stdout.readline())
    await ann.jobs.set(done())
    code, said, _ = await ending(process)
    assert code == 0
    assert [first["state"], *(json.loads(line)["state"] for line in said.splitlines())] == [
        "running",
        "done",
    ]


async def test_a_job_that_is_not_there_is_said_at_once(ann: Account) -> None:
    for words in (("job", "show"), ("wait",), ("watch",), ("receipt",), ("pause",)):
        code, _, errors = await ann.types(*words, "nojob")
        assert (code, "NOT_FOUND" in errors) == (5, True), words


async def test_an_impossible_policy_is_refused_with_the_flag_that_lowers_it(ann: Account) -> None:
    ann.jobs.refuse = McError(
        "POLICY_IMPOSSIBLE", "one cloud", next="relax it with --spread cloud=1"
    )
    code, _, errors = await ann.types(*SUBMIT)
    assert code == 2
    assert "--spread cloud=1" in errors


async def test_dollars_above_the_contexts_limit_are_asked_about(ann: Account) -> None:
    cost = job_pb2.Cost(planned_usd=12.5, prices_date="2026-10-01")
    ann.jobs.plan = job_pb2.PlanJobResponse(cost=cost)
    code, _, errors = await ann.types(*SUBMIT)
    assert code == 2
    assert "$12.50 at prices of 2026-10-01" in errors
    assert not ann.jobs.found, "nothing was submitted"
    assert (await ann.types(*SUBMIT, "-y"))[0] == 0
    assert (await ann.types("context", "set", "--confirm-usd", "20"))[0] == 0
    assert (await ann.types(*SUBMIT))[0] == 0


async def test_a_dry_run_is_the_plan(ann: Account) -> None:
    edge = job_pb2.EdgeBytes(from_cloud="aws", to_cloud="gcp", bytes=1 << 30, usd=0.09)
    cost = job_pb2.Cost(planned_usd=0.09, prices_date="2026-10-01", edges=[edge])
    survival = job_pb2.Survival(nodes=2, sentence="any 2 nodes may be lost")
    ann.jobs.plan = job_pb2.PlanJobResponse(
        objects=3, bytes=1 << 30, chunks=16, seconds=80, cost=cost, survival=survival
    )
    plan = await ann.types("plan", SOURCE, "-o", "json")
    dry = await ann.types(*SUBMIT, "--dry-run", "-o", "json")
    assert plan == dry
    found = json.loads(plan[1])
    assert found["wan_bytes"] == [{"from": "aws", "to": "gcp", "bytes": 1 << 30, "usd": 0.09}]
    assert found["survives"]["nodes"] == 2
    assert not ann.jobs.found
    assert "any 2 nodes may be lost" in (await ann.types("plan", SOURCE))[1]


async def test_the_receipt_says_where_every_copy_is(ann: Account) -> None:
    edges = [job_pb2.EdgeBytes(from_cloud="aws", to_cloud="gcp", bytes=2000, usd=0.5)]
    cost = job_pb2.Cost(planned_usd=1.0, spent_usd=0.5, prices_date="2026-10-01", edges=edges)
    one = done()
    one.cost.CopyFrom(cost)
    await ann.jobs.set(one)
    ann.jobs.parts = [chunk(0, ann.node.place.id), chunk(1, ann.node.place.id, "gone")]
    found = json.loads((await ann.types("receipt", JOB, "-o", "json"))[1])
    assert set(CONTRACT) < set(found)
    here = {"node": "node-41", "cloud": "aws", "region": "us-east-1", "zone": "a"}
    assert found["replicas"][0]["copies"] == [here]
    assert found["replicas"][1]["copies"][1]["node"] == "gone"
    assert found["usd"] == {"planned": 1.0, "spent": 0.5, "prices_of": "2026-10-01"}
    assert found["wan_bytes"][0]["bytes"] == 2000
    code, said, _ = await ann.types("receipt", JOB)
    assert code == 0
    assert "$0.50 spent of $1.00 planned" in said
    assert ["node-41", "aws", "us-east-1", "a", "2"] in [r.split()[:5] for r in said.splitlines()]


async def test_quarantined_records_are_listed_and_written_to_a_new_file(ann: Account) -> None:
    await ann.jobs.set(done())
    ann.jobs.quarantined = [
        job_pb2.QuarantinedRecord(path="a.jsonl", offset_bytes=7, step="s", reason="r", record=rec)
        for rec in (b'{"x": 1', b"\xff\xfe")
    ]
    listed = json.loads((await ann.types("quarantine", "ls", JOB, "-o", "json"))[1])
    assert listed == [{"path": "a.jsonl", "offset": 7, "step": "s", "reason": "r"}] * 2
    assert (await ann.types("quarantine", "get", JOB, "bad.jsonl"))[0] == 0
    text, odd = map(json.loads, (ann.folder / "bad.jsonl").read_text().splitlines())
    assert (text["record"], odd["record_base64"]) == ('{"x": 1', "//4=")
    assert (await ann.types("quarantine", "get", JOB, "bad.jsonl"))[0] == 2


async def test_jobs_are_listed_by_pages_and_shown_in_status(ann: Account) -> None:
    other = job(DONE)
    other.id = "z" * 20
    await ann.jobs.set(job(blocked=["paused by ann"]))
    await ann.jobs.set(other)
    assert len(json.loads((await ann.types("jobs", "-o", "json"))[1])) == 2
    chosen = json.loads((await ann.types("jobs", "--state", "done", "-o", "json"))[1])
    assert [one["job"] for one in chosen] == [other.id]
    assert (await ann.types("jobs", "--state", "odd"))[0] == 2
    status = json.loads((await ann.types("status", "-o", "json"))[1])
    assert [one["job"] for one in status["jobs"]] == [JOB], "those that have not ended"
    assert f"job {JOB} (corpus): running" in (await ann.types("status"))[1]


async def test_a_job_is_paused_resumed_retried_and_cancelled_after_a_question(ann: Account) -> None:
    await ann.jobs.set(job())
    states: list[Any] = [
        json.loads((await ann.types(word, JOB, "-o", "json"))[1])["state"]
        for word in ("pause", "resume", "retry")
    ]
    assert states == ["paused", "running", "running"]
    assert (await ann.types("cancel", JOB))[0] == 2, "there is nobody to ask"
    assert (await ann.types("cancel", JOB, "-y"))[0] == 0
    assert ann.jobs.found[JOB].state == job_pb2.JOB_STATE_CANCELLED
    code, _, errors = await ann.types("cancel", JOB, "-y")
    assert (code, "has ended" in errors) == (1, True)


async def test_nodes_that_serve_no_jobs_say_upgrade_and_status_goes_on(
    people: People, tmp_path: Path
) -> None:
    async with account(people, tmp_path, 42, lambda jobs: []) as old:
        for words in (SUBMIT, ("jobs",), ("wait", JOB)):
            code, _, errors = await old.types(*words)
            assert (code, "upgrade the node" in errors) == (1, True), words
        assert json.loads((await old.types("status", "-o", "json"))[1])["jobs"] == []


async def test_a_terminal_sees_the_stages_drawn_in_place(ann: Account) -> None:
    stage = job_pb2.StageProgress(
        stage="distribute", bytes_done=1 << 20, bytes_planned=3 << 20, bytes_per_s=1 << 20,
        waiting_for="room on gcp-a",
    )  # fmt: skip
    await ann.jobs.set(job(stages=[stage]))
    ours, theirs = os.openpty()
    env = {**ann.env, "TERM": "xterm", "COLUMNS": "120"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mcctl", "watch", JOB), env=env, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    await until(lambda: ann.jobs.watching)
    await ann.jobs.set(done())
    assert await asyncio.wait_for(process.wait(), 60) == 0
    shown = (await asyncio.to_thread(os.read, ours, 1 << 16)).decode()
    os.close(ours)
    for words in ("distribute", "1 MiB", "3 MiB", "0:02", "room on gcp-a"):
        assert words in shown
