"""LedgerService: what a keeper offers to stewards and workers."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from multicloud.errors import McError
from multicloud.v1 import task_pb2
from nodeagent.jobs.keeping import Keeping
from nodeagent.rpc.call import Call

FACTS_MAX = 4096
FOLLOW_S = 10.0


@dataclass(slots=True)
class LedgerService:
    keeping: Keeping
    own: str  # This node's id.

    async def append_facts(
        self, request: task_pb2.AppendFactsRequest, call: Call
    ) -> task_pb2.AppendFactsResponse:
        if not 1 <= len(request.facts) <= FACTS_MAX:
            said = f"{len(request.facts)} facts came at once; 1 to {FACTS_MAX} may"
            raise McError("BAD_REQUEST", said)
        for fact in request.facts:
            if not fact.id or fact.WhichOneof("kind") is None:
                raise McError("BAD_REQUEST", f"the fact {fact.id!r} has no id or says nothing")
        kept = await self.keeping.append(request.job, request.epoch, request.facts)
        return task_pb2.AppendFactsResponse(sequence=kept.sequence, epoch=kept.epoch)

    async def read_facts(
        self, request: task_pb2.ReadFactsRequest, call: Call
    ) -> AsyncIterator[task_pb2.ReadFactsResponse]:
        after = request.after_sequence
        while True:
            rows = await self.keeping.read(request.job, after)
            for after, fact in rows:
                yield task_pb2.ReadFactsResponse(sequence=after, fact=fact)
            if not rows:
                if not request.follow:
                    return
                await self.keeping.wait(request.job, after, FOLLOW_S)

    async def open_epoch(
        self, request: task_pb2.OpenEpochRequest, call: Call
    ) -> task_pb2.OpenEpochResponse:
        """Only the one who would be steward may ask: no node speaks for another."""
        if call.caller.holder.identity.name != request.steward:
            said = f"{call.caller.uri} asked to make {request.steward} the steward"
            raise McError("NOT_ALLOWED", said, next="a steward opens its own epoch")
        kept = await self.keeping.open_epoch(request.job, request.epoch, request.steward)
        return task_pb2.OpenEpochResponse(epoch=kept.epoch, sequence=kept.sequence)
