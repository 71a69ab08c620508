"""What a job's manifest is made of: the result that counts of each task, from whichever keeper has
it, and what tasks that were given up leave.
"""

from collections.abc import AsyncIterator, Iterator, Mapping

from coordinator.jobs.facts import TaskId
from coordinator.jobs.ledger import Task
from multicloud.errors import McError
from multicloud.v1 import task_pb2
from nodeagent.jobs.facts import Cut, id_of, tasks_of
from nodeagent.jobs.keepers import Keepers

GIVEN_UP = "given up"


async def chosen(
    keepers: Keepers, tasks: Mapping[TaskId, Task], cut: Cut
) -> AsyncIterator[task_pb2.TaskResult]:
    """Each once, in no order."""
    wanted = {task.chosen.id for task in tasks.values() if task.chosen is not None}
    others = [node for node in keepers.nodes if node != keepers.own]
    for node in (keepers.own, *others):
        if not wanted:
            return
        async for fact in keepers.facts_of(node):
            name = id_of(fact)
            if name in wanted:
                wanted.discard(name)
                yield fact.result
            elif fact.HasField("page") and node == keepers.own:  # It has all that counts.
                for short in without_a_result(fact.page, cut, tasks):
                    yield short
    if wanted:
        said = f"{len(wanted)} results of job {keepers.job} are on no keeper that answers"
        raise McError("UNREACHABLE", said, next="start the keepers that are away")


def without_a_result(
    page: task_pb2.ListingPage, cut: Cut, tasks: Mapping[TaskId, Task]
) -> Iterator[task_pb2.TaskResult]:
    """For each task that was given up a result that only cuts its objects short: what other tasks
    made of them is no whole file.
    """
    for task in tasks_of(page, cut):
        known = tasks.get(task.id)  # None: of a page that reached no majority.
        if known is not None and known.chosen is None:
            paths = dict.fromkeys(each.path for each in task.inputs)
            short = [task_pb2.SkippedObject(path=path, reason=GIVEN_UP) for path in paths]
            yield task_pb2.TaskResult(task=task.id, cut_short=short)
