"""The proof of a job, chunk by chunk, from what a majority of its keepers has on disk."""

from collections.abc import Iterator
from dataclasses import dataclass

from coordinator.jobs.ledger import Ledger
from multicloud.v1 import common_pb2, job_pb2, records_pb2, task_pb2
from nodeagent.jobs.facts import folded
from nodeagent.jobs.keepers import Keepers
from nodeagent.jobs.keeping import Keeping
from nodeagent.jobs.plane_world import JobWorld
from nodeagent.jobs.planning import cut_of


@dataclass(frozen=True, slots=True)
class Told:
    """What the ledger of a job tells: the result that counts of each task, in order."""

    ledger: Ledger
    results: list[task_pb2.TaskResult]

    def chunks(self) -> Iterator[job_pb2.ReceiptChunk]:
        traces = {result.task: result.trace_id for result in self.results}
        index, told = 0, set[bytes]()
        for name, task in self.ledger.tasks.items():
            for chunk in task.chunks():
                if chunk.id in told:  # Several tasks took over of it.
                    continue
                told.add(chunk.id)
                yield job_pb2.ReceiptChunk(
                    index=index,
                    chunk=common_pb2.ChunkRef(id=chunk.id, size_bytes=chunk.file_bytes),
                    trace_id=traces.get(name, ""),
                    copies=[
                        common_pb2.Copy(chunk_id=chunk.id, node=copy.node, volume=copy.volume)
                        for copy in chunk.copies
                    ],
                )
                index += 1


async def read(header: records_pb2.JobHeader, world: JobWorld, keeping: Keeping) -> Told:
    """UNREACHABLE when too few of its keepers answer."""
    nodes = [keeper.node for keeper in header.keepers]
    keepers = Keepers(header.id, nodes, world.own, keeping, world.channel, world.rng)
    facts = await keepers.known()
    cut = cut_of(header.spec)
    ledger = Ledger(folded(fact, cut) for fact in facts)
    by_id = {fact.id: fact.result for fact in facts if fact.HasField("result")}
    chosen = (task.chosen for task in ledger.tasks.values())
    return Told(ledger, [by_id[result.id] for result in chosen if result is not None])
