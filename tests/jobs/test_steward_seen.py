"""What a steward sees of work that is not a fact yet: progress, waits with a name, what limits."""

from multicloud.v1 import job_pb2, task_pb2
from nodeagent.jobs.steward_seen import LINKED, STILL_S, Seen

MIB = 1 << 20


def stage(name: str, seconds: float, size_bytes: int, tasks: int = 0) -> task_pb2.StageTime:
    return task_pb2.StageTime(
        stage=name, seconds=seconds, bytes=size_bytes, tasks=tasks, held_bytes=size_bytes * tasks
    )


def credit(*stages: task_pb2.StageTime, **more: object) -> task_pb2.WorkerCredit:
    return task_pb2.WorkerCredit(stages=stages, **more)  # type: ignore[arg-type]


def use(to: str, size_bytes: int, seconds: float, waited_s: float) -> job_pb2.LinkUse:
    return job_pb2.LinkUse(to_node=to, bytes=size_bytes, seconds=seconds, waited_s=waited_s)


def test_bytes_of_running_tasks_are_counted_until_their_worker_is_gone() -> None:
    seen = Seen(str.upper)
    seen.credit("a", credit(stage("ingest", 1.0, MIB, 1), stage("seal", 0.5, MIB // 2)))
    seen.credit("b", credit(stage("ingest", 1.0, 2 * MIB, 1)))
    assert (seen.live("ingest"), seen.live("seal")) == (3 * MIB, MIB // 2)
    assert seen.held("ingest") == 3 * MIB
    seen.gone("b")
    assert seen.live("ingest") == MIB


def test_a_reason_to_wait_is_told_once_with_all_who_say_so() -> None:
    seen = Seen(str.upper)
    for worker in ("b", "a"):
        seen.credit(worker, credit(waits=["the disk is full"]))
    assert seen.waits(0.0) == ["A, B: the disk is full"]


def test_no_wait_is_without_a_name() -> None:
    seen = Seen(str.upper)
    for now_s in (100.0, 101.0, 100.0 + STILL_S):
        seen.credit("a", credit(stage("send", now_s - 99.0, MIB, 2)))
        seen.sample(now_s, MIB)
    (said,) = seen.waits(100.0 + STILL_S)
    assert said == "nothing has moved for 5 s; tasks stand: 2 at send"
    seen.credit("a", credit())
    seen.sample(200.0, MIB)
    assert seen.waits(200.0) == []
    seen.credit("a", credit(stage("ingest", 0.1, 0, 1)))
    assert seen.waits(201.0) == []


def test_what_limits_is_judged_by_the_last_seconds() -> None:
    seen = Seen(str.upper)
    seen.credit("a", credit(stage("ingest", 50.0, MIB), links=[use("g", MIB, 90.0, 0.0)]))
    seen.sample(100.0, 0)
    links = [use("g", 3 * MIB, 98.0, 6.0)]
    seen.credit("a", credit(stage("ingest", 51.0, MIB), stage("send", 7.0, MIB), links=links))
    seen.sample(108.0, 0)
    limit = seen.limit()
    assert limit
    assert limit.link
    assert (limit.stage, limit.link.source, limit.link.target) == ("send", "A", "G")
    assert (limit.link.bytes, limit.link.waited_share) == (2 * MIB, 0.75)
    assert "A → G waits 75%" in seen.degraded()


def test_the_slowest_chunks_and_the_last_failures_are_remembered() -> None:
    seen = Seen(str)
    for number in range(30):
        seconds = float(number * 7 % 30)
        seen.result(task_pb2.TaskResult(seconds=seconds, traceparent=f"t{seconds:g}"))
        seen.refused(task_pb2.TaskRefused(trace_id=str(number)))
    assert sorted(seconds for seconds, _ in seen.slowest) == [float(n) for n in range(20, 30)]
    assert list(seen.failed) == [str(number) for number in range(30 - LINKED, 30)]
