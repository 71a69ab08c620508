"""What operators decide about nodes: to drain one, to have it back, to remove it for ever."""

from dataclasses import dataclass
from typing import Protocol

from coordinator.types import NodeId
from multicloud.errors import McError
from multicloud.v1 import admin_pb2, common_pb2
from nodeagent.rpc.admin.passing import Passing
from nodeagent.rpc.call import Call


class Decisions(Protocol):
    async def drain(self, draining: bool) -> None:
        """Of this node: new placement stops, or begins again. Durable when it returns."""

    async def remove(self, node: NodeId, wish: str) -> None:
        """Of any node, for ever. Decided when it returns; `wish` names the request."""


@dataclass(slots=True)
class MembershipAdmin:
    passing: Passing
    decisions: Decisions

    async def drain_node(
        self, request: admin_pb2.DrainNodeRequest, call: Call
    ) -> admin_pb2.DrainNodeResponse:
        passed = await self.passing.answer(request, admin_pb2.DrainNodeResponse, call)
        if passed:
            return passed  # type: ignore[no-any-return]
        await self.decisions.drain(True)
        return admin_pb2.DrainNodeResponse(node=self._own())

    async def undrain_node(
        self, request: admin_pb2.UndrainNodeRequest, call: Call
    ) -> admin_pb2.UndrainNodeResponse:
        passed = await self.passing.answer(request, admin_pb2.UndrainNodeResponse, call)
        if passed:
            return passed  # type: ignore[no-any-return]
        await self.decisions.drain(False)
        return admin_pb2.UndrainNodeResponse(node=self._own())

    async def remove_node(
        self, request: admin_pb2.RemoveNodeRequest, call: Call
    ) -> admin_pb2.RemoveNodeResponse:
        peer = self.passing.target(request.node)
        if peer is None:
            said = f"{self.passing.roster.own.name} cannot remove itself"
            raise McError("FAILED", said, next="ask another node, with --node")
        await self.decisions.remove(peer.id, request.request_id)
        facts = peer.facts or common_pb2.NodeFacts(id=peer.id)
        gone = common_pb2.Node(facts=facts, state=common_pb2.NODE_STATE_REMOVED)
        return admin_pb2.RemoveNodeResponse(node=gone)

    def _own(self) -> common_pb2.Node:
        own = self.passing.roster.own
        state = common_pb2.NODE_STATE_DRAINING if own.draining else common_pb2.NODE_STATE_ALIVE
        return common_pb2.Node(facts=own, state=state)
