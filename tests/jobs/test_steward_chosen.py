"""Of a task that nobody could do, the parts that others made of its objects become no file."""

from collections.abc import Sequence

from coordinator.jobs.facts import Poisoned
from coordinator.jobs.ledger import Ledger
from multicloud.v1 import common_pb2, task_pb2
from nodeagent.jobs.facts import folded, page_fact, result_fact, tasks_of
from nodeagent.jobs.steward_chosen import without_a_result

PAGE = task_pb2.ListingPage(
    page=0, last=True, objects=[task_pb2.ListedObject(path=b"big", size_bytes=3)]
)


def thirds(page: task_pb2.ListingPage) -> Sequence[Sequence[task_pb2.TaskInput]]:
    return [[_input(listed.path, at)] for listed in page.objects for at in range(3)]


def _input(path: bytes, at: int) -> task_pb2.TaskInput:
    return task_pb2.TaskInput(path=path, range=common_pb2.ByteRange(offset_bytes=at, size_bytes=1))


def test_the_object_of_a_task_that_was_given_up_is_cut_short() -> None:
    first, second, third = (task.id for task in tasks_of(PAGE, thirds))
    ledger = Ledger([folded(page_fact(PAGE, 1), thirds)])
    for done in (first, third):
        ledger.add(folded(result_fact(task_pb2.TaskResult(task=done, worker="a")), thirds))
    ledger.add(Poisoned(second, "WORKER_LOST", 0, 1))
    (short,) = without_a_result(PAGE, thirds, ledger.tasks)
    assert (short.task, [one.path for one in short.cut_short]) == (second, [b"big"])


def test_a_page_that_does_not_count_says_nothing() -> None:
    assert list(without_a_result(PAGE, thirds, Ledger().tasks)) == []
