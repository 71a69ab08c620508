"""Which traces a job has: by its ledger, which outlives what the nodes remember of them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from heapq import nlargest

from multicloud.errors import McError
from multicloud.v1 import insight_pb2, records_pb2
from nodeagent.jobs.job_receipt import Told

SHOWN_OF_JOB = 5  # Chunks that stand beside the job's own trace.


@dataclass(frozen=True, slots=True)
class OfJobs:
    header: Callable[[str], Awaitable[records_pb2.JobHeader]]  # NOT_FOUND when there is none.
    told: Callable[[records_pb2.JobHeader], Awaitable[Told]]

    async def asked(
        self, request: insight_pb2.GetTraceRequest
    ) -> tuple[str, list[insight_pb2.TracedChunk]]:
        """The job's own trace, and the chunks that are asked for."""
        header = await self.header(request.job)
        try:
            chunks = traced(await self.told(header))
        except McError:
            if _one(request):
                raise
            return header.trace_id, []  # Its own trace is there without the ledger.
        return header.trace_id, _chosen(request, chunks)


def traced(told: Told) -> list[insight_pb2.TracedChunk]:
    """One for each task that is acked, with its chunks counted as the receipt counts them."""
    results = {result.task: result for result in told.results}
    found, index = [], 0
    for name, task in told.ledger.tasks.items():
        ids = [chunk.id for chunk in task.chunks()]
        result = results.get(name)
        if result is not None:
            found.append(
                insight_pb2.TracedChunk(
                    trace_id=result.trace_id,
                    index=index if ids else None,
                    chunk_ids=ids,
                    seconds=result.seconds,
                    node=result.worker,
                )
            )
        index += len(ids)
    return found


def _one(request: insight_pb2.GetTraceRequest) -> bool:
    return request.HasField("index") or bool(request.chunk_id)


def _chosen(
    request: insight_pb2.GetTraceRequest, chunks: Sequence[insight_pb2.TracedChunk]
) -> list[insight_pb2.TracedChunk]:
    if request.failed:
        return []  # Attempts that failed have no result: whoever made them remembers them.
    if not _one(request):
        count = request.slowest or SHOWN_OF_JOB
        return nlargest(count, chunks, key=lambda chunk: chunk.seconds)
    found = [chunk for chunk in chunks if _is(request, chunk)]
    if not found:
        wanted = request.chunk_id.hex() or str(request.index)
        total = sum(len(chunk.chunk_ids) for chunk in chunks)
        said = f"job {request.job} has no chunk {wanted}: it has {total} so far"
        raise McError("NOT_FOUND", said, next=f"`mcctl receipt {request.job} -o json` lists them")
    return found


def _is(request: insight_pb2.GetTraceRequest, chunk: insight_pb2.TracedChunk) -> bool:
    if request.chunk_id:
        return request.chunk_id in chunk.chunk_ids
    first = chunk.index if chunk.HasField("index") else -1
    return 0 <= request.index - first < len(chunk.chunk_ids) if first >= 0 else False
