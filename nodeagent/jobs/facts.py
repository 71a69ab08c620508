"""Facts between their two forms: messages as they are kept and sent, and what the steward folds.

A page is kept as the source listed it; its tasks are cut from it anew wherever they are needed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from blake3 import blake3

from coordinator.jobs.facts import (
    Chunk,
    Copy,
    Fact,
    Page,
    Poisoned,
    Result,
    Safe,
    Shape,
    StepCount,
)
from multicloud.errors import McError
from multicloud.v1 import common_pb2, job_pb2, task_pb2

PLAN_KINDS = ("page", "poisoned")


class Cut(Protocol):
    """The tasks of a page: a pure function, the same everywhere."""

    def __call__(self, page: task_pb2.ListingPage) -> Sequence[Sequence[task_pb2.TaskInput]]: ...


def tasks_of(page: task_pb2.ListingPage, cut: Cut) -> list[task_pb2.Task]:
    """The tasks of a page. Their ids name what they read, so another listing makes other tasks."""
    return [
        task_pb2.Task(id=_task_id(page.page, place, inputs), page=page.page, inputs=inputs)
        for place, inputs in enumerate(cut(page))
    ]


def _task_id(page: int, place: int, inputs: Sequence[task_pb2.TaskInput]) -> str:
    digest = blake3()
    for each in inputs:
        digest.update(each.SerializeToString(deterministic=True))
    return f"{page}.{place}.{digest.hexdigest(6)}"


def folded(fact: task_pb2.Fact, cut: Cut) -> Fact:
    """A message as the steward's ledger takes it."""
    kind = fact.WhichOneof("kind")
    match kind:
        case "page":
            return page_of(fact, tasks_of(fact.page, cut))
        case "result":
            return _result(fact.result)
        case "safe":
            return Safe(fact.safe.result, _chunks(fact.safe.chunks), _edges(fact.safe.edges))
        case "poisoned":
            poisoned = fact.poisoned
            return Poisoned(poisoned.task, poisoned.reason, poisoned.objects, fact.epoch)
    raise McError("UNSUPPORTED", f"the fact {fact.id!r} is of a kind that this node does not know")


def id_of(fact: task_pb2.Fact) -> str:
    """As the ledger knows it, whichever release has written it."""
    return _result(fact.result).id if fact.HasField("result") else fact.id


def page_of(fact: task_pb2.Fact, tasks: Iterable[task_pb2.Task]) -> Page:
    """With the tasks that it was cut into."""
    page = fact.page
    shapes = tuple(
        Shape(
            task.id,
            sum(each.range.size_bytes for each in task.inputs),
            sum(each.range.offset_bytes == 0 for each in task.inputs),
        )
        for task in tasks
    )
    return Page(
        page.page,
        page.cursor,
        page.last,
        shapes,
        len(page.objects),
        sum(listed.size_bytes for listed in page.objects),
        fact.epoch,
        {path_text(skipped.path): skipped.reason for skipped in page.skipped},
    )


def _result(result: task_pb2.TaskResult) -> Result:
    return Result(
        result.task,
        result.worker,
        result.attempt,
        _chunks(result.chunks),
        result.objects_ingested,
        {path_text(skipped.path): skipped.reason for skipped in result.skipped},
        tuple(
            StepCount(
                step.records_in,
                step.records_out,
                step.records_filtered,
                step.records_dropped,
                step.records_quarantined,
                step.remakes,
            )
            for step in result.steps
        ),
        result.bytes_in,
        result.bytes_out,
        _edges(result.edges),
        {path_text(skipped.path): skipped.reason for skipped in result.cut_short},
        result.objects_taken,
        result.bytes_taken,
        result.bytes_reused,
    )


def _chunks(chunks: Iterable[task_pb2.SealedChunk]) -> tuple[Chunk, ...]:
    return tuple(
        Chunk(
            chunk.id,
            chunk.sealed_bytes,
            tuple(Copy(copy.node, copy.volume) for copy in chunk.copies),
            chunk.reused,
        )
        for chunk in chunks
    )


def _edges(edges: Iterable[job_pb2.EdgeBytes]) -> Mapping[tuple[str, str], int]:
    return {(edge.from_cloud, edge.to_cloud): edge.bytes for edge in edges}


def page_fact(page: task_pb2.ListingPage, epoch: int) -> task_pb2.Fact:
    return task_pb2.Fact(id=f"page/{page.page}", epoch=epoch, page=page)


def result_fact(result: task_pb2.TaskResult) -> task_pb2.Fact:
    return task_pb2.Fact(id=_result(result).id, result=result)


def safe_fact(
    result: str,
    chunks: Iterable[task_pb2.SealedChunk],
    edges: Iterable[job_pb2.EdgeBytes] = (),
) -> task_pb2.Fact:
    safe = task_pb2.SafeResult(result=result, chunks=chunks, edges=edges)
    return task_pb2.Fact(id=f"safe/{result}", safe=safe)


def poisoned_fact(poisoned: Poisoned) -> task_pb2.Fact:
    message = task_pb2.PoisonedTask(
        task=poisoned.task, reason=poisoned.reason, objects=poisoned.objects
    )
    return task_pb2.Fact(id=poisoned.id, epoch=poisoned.epoch, poisoned=message)


def sealed_chunk(
    chunk_id: bytes, sealed_bytes: int, plain_bytes: int, copies: Iterable[tuple[str, str]]
) -> task_pb2.SealedChunk:
    return task_pb2.SealedChunk(
        id=chunk_id,
        sealed_bytes=sealed_bytes,
        plain_bytes=plain_bytes,
        copies=[
            common_pb2.Copy(chunk_id=chunk_id, node=node, volume=volume) for node, volume in copies
        ],
    )


def path_text(path: bytes) -> str:
    """For people and for keys: bytes that are no UTF-8 stay distinguishable."""
    return path.decode("utf-8", "surrogateescape")


def path_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
