"""What a steward adds up of its job's facts."""

from multicloud.v1 import job_pb2, task_pb2
from nodeagent.jobs.steward_figures import Figures


def result(task: str, worker: str, size_bytes: int) -> task_pb2.Fact:
    edge = job_pb2.EdgeBytes(from_cloud="aws", to_cloud="gcp", bytes=size_bytes, usd=0.5)
    done = task_pb2.TaskResult(task=task, worker=worker, edges=[edge])
    return task_pb2.Fact(id=f"{task}/{worker}", result=done)


def test_what_a_task_that_was_done_twice_has_sent_is_paid_and_named() -> None:
    figures = Figures()
    for fact in (result("one", "a", 100), result("two", "b", 30), result("two", "c", 32)):
        figures.count(fact)
    cost = figures.cost()
    assert sum(edge.bytes for edge in cost.edges) == 162
    assert (cost.spent_usd, cost.doubled_bytes) == (1.5, 32)
