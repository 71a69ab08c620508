"""InsightService, as far as it tells of traces: the node spoken to asks all others, and each
answers from its ring. What no ring has any more is gone here; a collector may have it.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from coordinator.types import NodeId
from multicloud.errors import McError
from multicloud.v1 import insight_pb2
from nodeagent.core.chunk.layout import HASH_BYTES
from nodeagent.jobs.traces.of_job import OfJobs
from nodeagent.rpc.call import Call
from nodeagent.rpc.roster import Peer
from nodeagent.telemetry import SeenSpan

SPANS_MAX = 4000  # In one answer; it stays under 4 MiB.
TRACES_MAX = 64  # Asked for at once.
IDS_MAX = 256
FACT_CHARS_MAX = 256
ASK_S = 3.0
TRACE_ID = re.compile(r"[0-9a-f]{32}")
ROOT = "chunk"  # The first span of each attempt.


class Spans(Protocol):
    """Telemetry as it remembers."""

    def seen(self, trace_id: str) -> Sequence[SeenSpan]: ...
    def find(self, name: str, **facts: str) -> Sequence[SeenSpan]: ...
    def keep(self, trace_id: str) -> None: ...


class Others(Protocol):
    """All other members, and the way to them on behalf of a caller."""

    def there(self) -> Sequence[Peer]: ...
    def away(self) -> Sequence[Peer]:
        """Members that do not answer now."""
        ...

    async def ask(
        self, peer: Peer, request: insight_pb2.GetTraceRequest, call: Call
    ) -> insight_pb2.GetTraceResponse: ...


@dataclass(frozen=True, slots=True)
class Here:
    """This node, as its spans name it."""

    node: NodeId
    name: str
    cloud: str


@dataclass(slots=True)
class TraceInsight:
    here: Here
    spans: Spans
    others: Others
    jobs: OfJobs
    ui: Callable[[], str]

    async def get_trace(
        self, request: insight_pb2.GetTraceRequest, call: Call
    ) -> insight_pb2.GetTraceResponse:
        _check(request)
        if call.caller.via is not None:
            return self._own(request)
        chunks: list[insight_pb2.TracedChunk] = []
        asked = insight_pb2.GetTraceRequest(
            trace_ids=request.trace_ids, chunk_id=request.chunk_id, failed=request.failed
        )
        if request.trace_id:
            asked.trace_ids.append(request.trace_id)
        if request.job:
            asked.job = request.job
            own, chunks = await self.jobs.asked(request)
            whole = not (request.HasField("index") or request.chunk_id or request.slowest)
            asked.trace_ids.extend([own] if whole and not request.failed and own else [])
            wanted = [] if whole else chunks
            asked.trace_ids.extend(one.trace_id for one in wanted if one.trace_id)
            if request.HasField("index") and len(chunks) == 1:
                asked.chunk_id = chunks[0].chunk_ids[request.index - chunks[0].index]
        found, unreachable = await self._all(asked, call)
        if request.failed:
            chunks = list(_failed(found))
        return insight_pb2.GetTraceResponse(
            spans=found[:SPANS_MAX],
            unreachable_nodes=unreachable,
            chunks=chunks,
            cut_short=len(found) > SPANS_MAX,
            ui=self.ui(),
        )

    async def keep_traces(
        self, request: insight_pb2.KeepTracesRequest, call: Call
    ) -> insight_pb2.KeepTracesResponse:
        if len(request.trace_ids) > IDS_MAX or not all(map(TRACE_ID.fullmatch, request.trace_ids)):
            raise McError("BAD_REQUEST", f"trace_ids: up to {IDS_MAX} of 32 hex digits")
        for trace_id in request.trace_ids:
            self.spans.keep(trace_id)
        return insight_pb2.KeepTracesResponse()

    async def _all(
        self, asked: insight_pb2.GetTraceRequest, call: Call
    ) -> tuple[list[insight_pb2.Span], list[str]]:
        """Of every node that answers; and who did not."""
        about = replace(call, deadline_s=call.remaining_s())
        if about.deadline_s is not None:
            about.deadline_s = min(ASK_S, about.deadline_s)
        peers = self.others.there()
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(self._of(peer, asked, about)) for peer in peers]
        answers = [self._own(asked), *(task.result() for task in waiting)]
        silent = [peer.name for peer, one in zip(peers, answers[1:], strict=True) if one is None]
        silent += [peer.name for peer in self.others.away()]
        spans = {(s.trace_id, s.span_id): s for one in answers if one for s in one.spans}
        return sorted(spans.values(), key=lambda s: s.start_unix_ns), sorted(silent)

    async def _of(
        self, peer: Peer, asked: insight_pb2.GetTraceRequest, call: Call
    ) -> insight_pb2.GetTraceResponse | None:
        try:
            return await self.others.ask(peer, asked, call)
        except McError:
            return None  # It is named as one that did not answer.

    # --- of this node

    def _own(self, asked: insight_pb2.GetTraceRequest) -> insight_pb2.GetTraceResponse:
        ids = dict.fromkeys(asked.trace_ids)
        if asked.trace_id:
            ids[asked.trace_id] = None
        if asked.chunk_id:  # What became of it later is in other traces.
            later = self.spans.find("", chunk=asked.chunk_id.hex())
            ids |= dict.fromkeys(span.trace_id for span in later)
        if asked.failed:
            attempts = self.spans.find(ROOT, job=asked.job)
            ids |= dict.fromkeys([s.trace_id for s in attempts if s.error][:TRACES_MAX])
        found = [span for trace_id in ids for span in self.spans.seen(trace_id)]
        return insight_pb2.GetTraceResponse(spans=map(self._told, found[: SPANS_MAX + 1]))

    def _told(self, span: SeenSpan) -> insight_pb2.Span:
        return insight_pb2.Span(
            trace_id=span.trace_id,
            span_id=span.span_id,
            parent_id=span.parent_id,
            name=span.name,
            node=self.here.name,
            cloud=self.here.cloud,
            start_unix_ns=span.start_unix_ns,
            end_unix_ns=span.end_unix_ns,
            attributes={key: value[:FACT_CHARS_MAX] for key, value in span.facts.items()},
            error=span.error,
            linked_trace_ids=span.linked_trace_ids,
        )


def _failed(spans: Iterable[insight_pb2.Span]) -> Iterable[insight_pb2.TracedChunk]:
    for span in spans:
        if span.name == ROOT and span.error:
            yield insight_pb2.TracedChunk(
                trace_id=span.trace_id,
                seconds=(span.end_unix_ns - span.start_unix_ns) / 1e9,
                node=span.node,
                error=span.error,
            )


def _check(request: insight_pb2.GetTraceRequest) -> None:
    ids = [*request.trace_ids, *([request.trace_id] if request.trace_id else [])]
    if not all(map(TRACE_ID.fullmatch, ids)):
        raise McError("BAD_REQUEST", "a trace id has 32 hex digits")
    if len(ids) > TRACES_MAX or request.slowest > TRACES_MAX:
        raise McError("BAD_REQUEST", f"at most {TRACES_MAX} traces at once")
    if len(request.chunk_id) not in (0, HASH_BYTES):
        raise McError("BAD_REQUEST", f"a chunk's id has {HASH_BYTES} bytes")
    if not (ids or request.job or request.chunk_id):
        raise McError("BAD_REQUEST", "name a trace, a job or a chunk")
