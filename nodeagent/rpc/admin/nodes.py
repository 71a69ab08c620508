"""Nodes as operators see them: the list, one of them, the one screen, and the check of a node."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from multicloud.v1 import admin_pb2, common_pb2
from nodeagent.rpc.admin.passing import Passing
from nodeagent.rpc.call import Call
from nodeagent.rpc.pages import page
from nodeagent.rpc.roster import Peer


class Facts(Protocol):
    """What only the daemon knows of its node."""

    def certificate_end_unix_s(self) -> float: ...
    async def findings(self) -> list[admin_pb2.Finding]: ...


@dataclass(slots=True)
class NodeAdmin:
    cluster: str
    passing: Passing
    own: Facts
    clock_s: Callable[[], float] = time.monotonic

    async def list_nodes(
        self, request: admin_pb2.ListNodesRequest, call: Call
    ) -> admin_pb2.ListNodesResponse:
        nodes, token = page(self._nodes(), request.page_size, request.page_token, _name)
        return admin_pb2.ListNodesResponse(nodes=nodes, next_page_token=token)

    async def get_node(
        self, request: admin_pb2.GetNodeRequest, call: Call
    ) -> admin_pb2.GetNodeResponse:
        peer = self.passing.target(request.node)
        return admin_pb2.GetNodeResponse(node=self._peer(peer) if peer else self._own())

    async def get_status(
        self, request: admin_pb2.GetStatusRequest, call: Call
    ) -> admin_pb2.GetStatusResponse:
        nodes = self._nodes()
        return admin_pb2.GetStatusResponse(
            safe=True,  # Nothing is stored before there are jobs, so nothing is in danger.
            cluster=self.cluster,
            nodes=nodes,
            problems=[_problem(n) for n in nodes if n.state not in _WELL],
        )

    async def check_node(
        self, request: admin_pb2.CheckNodeRequest, call: Call
    ) -> admin_pb2.CheckNodeResponse:
        passed = await self.passing.answer(request, admin_pb2.CheckNodeResponse, call)
        return passed or admin_pb2.CheckNodeResponse(findings=await self.own.findings())

    def _nodes(self) -> list[common_pb2.Node]:
        known = [p for p in self.passing.roster.peers.values() if p.facts]
        return sorted([self._own(), *map(self._peer, known)], key=_name)

    def _own(self) -> common_pb2.Node:
        facts = self.passing.roster.own
        state = common_pb2.NODE_STATE_DRAINING if facts.draining else common_pb2.NODE_STATE_ALIVE
        end_s = self.own.certificate_end_unix_s()
        return common_pb2.Node(facts=facts, state=state, certificate_end_time=rfc3339(end_s))

    def _peer(self, peer: Peer) -> common_pb2.Node:
        now_s = self.clock_s()
        return common_pb2.Node(
            facts=peer.facts,
            state=self.passing.roster.state(peer, now_s),
            rtt_ms=peer.rtt_ms,
            silent_s=max(0.0, now_s - peer.heard_s) if peer.heard_s is not None else 0.0,
            certificate_end_time=rfc3339(peer.certificate_end_unix_s),
        )


_WELL = {
    common_pb2.NODE_STATE_ALIVE,
    common_pb2.NODE_STATE_LEFT,
    common_pb2.NODE_STATE_DRAINING,
}


def _problem(node: common_pb2.Node) -> admin_pb2.Problem:
    name = node.facts.name
    return admin_pb2.Problem(
        code="NODE_UNREACHABLE",
        what=f"{name} has not been heard for {node.silent_s:.0f} s",
        next=f"look at the machine: `systemctl status nodeagentd` on {name}, or "
        f"`mcctl check` for what stands between",
    )


def _name(node: common_pb2.Node) -> str:
    return node.facts.name


def rfc3339(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds") if unix_s else ""
