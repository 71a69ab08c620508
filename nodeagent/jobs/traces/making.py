"""Traces of a real node: joined with its telemetry, its members and its jobs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import grpc

from coordinator.types import NodeId
from multicloud.errors import McError
from multicloud.status import decode
from multicloud.v1 import insight_pb2, insight_pb2_grpc
from nodeagent.jobs.plane_world import JobWorld
from nodeagent.jobs.traces.keeping import TraceKeeping
from nodeagent.jobs.traces.service import Spans
from nodeagent.rpc.call import Call
from nodeagent.rpc.peers import Peers
from nodeagent.rpc.roster import Peer, Roster

TELL_S = 3.0


def keeping(world: JobWorld, spans: Spans) -> TraceKeeping:
    async def tell(node: NodeId, trace_ids: Collection[str]) -> None:
        stub = insight_pb2_grpc.InsightServiceStub(world.channel(node))
        request = insight_pb2.KeepTracesRequest(trace_ids=trace_ids)
        try:
            await stub.KeepTraces(request, timeout=TELL_S)
        except grpc.aio.AioRpcError as error:
            raise decode(error, node) from error

    return TraceKeeping(world.own, spans.keep, tell)


@dataclass(frozen=True, slots=True)
class Fellows:
    """Other members, as `TraceInsight` asks them."""

    world: JobWorld
    roster: Roster
    peers: Peers

    def there(self) -> Sequence[Peer]:
        return [p for p in self._known() if self.world.is_there(p.id)]

    def away(self) -> Sequence[Peer]:
        return [p for p in self._known() if self.world.is_away(p.id)]

    def _known(self) -> Sequence[Peer]:
        members = self.world.view().members
        return [peer for peer in list(self.roster.peers.values()) if peer.id in members]

    async def ask(
        self, peer: Peer, request: insight_pb2.GetTraceRequest, call: Call
    ) -> insight_pb2.GetTraceResponse:
        if not peer.address:
            raise McError("UNREACHABLE", f"no address of {peer.name} is known here")
        answer: insight_pb2.GetTraceResponse = await self.peers.pass_on(
            peer, request, insight_pb2.GetTraceResponse, call
        )
        return answer
