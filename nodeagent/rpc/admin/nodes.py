"""Nodes as operators see them: the list, one of them, the one screen, and the check of a node."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from coordinator.distance import Measured
from coordinator.types import Knowing, NodeId, View
from multicloud.v1 import admin_pb2, common_pb2
from nodeagent.rpc.admin.copies import copies_of, copies_problems
from nodeagent.rpc.admin.passing import Passing
from nodeagent.rpc.admin.stored import stored_problems
from nodeagent.rpc.call import Call
from nodeagent.rpc.pages import page
from nodeagent.rpc.roster import Peer


class Facts(Protocol):
    """What only the daemon knows of its node."""

    def view(self) -> View: ...
    def measured(self) -> Mapping[NodeId, Measured]: ...
    async def findings(self) -> list[admin_pb2.Finding]: ...


class Council(Protocol):
    """The council as this node sees it."""

    def seated(self) -> Collection[NodeId]: ...
    def status(self) -> admin_pb2.CouncilStatus: ...
    def problems(self) -> Sequence[admin_pb2.Problem]: ...


@dataclass(slots=True)
class NodeAdmin:
    cluster: str
    passing: Passing
    own: Facts
    council: Council
    clock_s: Callable[[], float] = time.monotonic

    async def list_nodes(
        self, request: admin_pb2.ListNodesRequest, call: Call
    ) -> admin_pb2.ListNodesResponse:
        nodes, token = page(self._nodes(), request.page_size, request.page_token, _name)
        removed = [] if request.page_token else self._removed()
        return admin_pb2.ListNodesResponse(nodes=nodes, next_page_token=token, removed=removed)

    async def get_node(
        self, request: admin_pb2.GetNodeRequest, call: Call
    ) -> admin_pb2.GetNodeResponse:
        peer = self.passing.target(request.node)
        return admin_pb2.GetNodeResponse(node=self._peer(peer) if peer else self._own())

    async def get_status(
        self, request: admin_pb2.GetStatusRequest, call: Call
    ) -> admin_pb2.GetStatusResponse:
        nodes = self._nodes()
        copies = copies_of(nodes, self.passing.roster.own.id)
        return admin_pb2.GetStatusResponse(
            safe=copies.safe and not any(node.facts.damaged or node.facts.lost for node in nodes),
            chunks_by_copies=copies.by_copies,
            repair_debt_chunks=copies.debt_chunks,
            repair_debt_bytes=copies.debt_bytes,
            repair_debt_oldest_s=copies.oldest_s,
            chunks_uncounted=copies.uncounted,
            counting=copies.counting,
            cluster=self.cluster,
            nodes=nodes,
            removed=self._removed(),
            council=self.council.status(),
            problems=[
                *(_problem(n) for n in nodes if n.state not in _WELL),
                *(found for node in nodes for found in stored_problems(node.facts)),
                *([_FROZEN] if self.own.view().frozen else []),
                *copies_problems(copies, nodes, frozen=self.own.view().frozen),
                *self.council.problems(),
            ],
        )

    async def check_node(
        self, request: admin_pb2.CheckNodeRequest, call: Call
    ) -> admin_pb2.CheckNodeResponse:
        passed = await self.passing.answer(request, admin_pb2.CheckNodeResponse, call)
        return passed or admin_pb2.CheckNodeResponse(findings=await self.own.findings())

    def _nodes(self) -> list[common_pb2.Node]:
        roster = self.passing.roster
        known = [p for p in roster.peers.values() if p.facts and self._is_listed(p)]
        return sorted([self._own(), *map(self._peer, known)], key=_name)

    def _own(self) -> common_pb2.Node:
        facts = self.passing.roster.own
        state = common_pb2.NODE_STATE_DRAINING if facts.draining else common_pb2.NODE_STATE_ALIVE
        if facts.id in self._removed():
            state = common_pb2.NODE_STATE_REMOVED
        return common_pb2.Node(
            facts=facts,
            state=state,
            certificate_end_time=_ends(facts),
            in_council=facts.id in self.council.seated(),
        )

    def _removed(self) -> list[NodeId]:
        members = self.own.view().members.values()
        return [m.id for m in members if m.knowing is Knowing.REMOVED]

    def _is_listed(self, peer: Peer) -> bool:
        return self.passing.roster.knowing(peer.id) is not Knowing.REMOVED

    def _peer(self, peer: Peer) -> common_pb2.Node:
        measured = self.own.measured().get(peer.id)
        return common_pb2.Node(
            facts=peer.facts,
            state=self.passing.roster.state(peer),
            rtt_ms=measured.ms if measured else peer.rtt_ms,
            silent_s=self._silent_s(peer),
            certificate_end_time=_ends(peer.facts) if peer.facts else "",
            in_council=peer.id in self.council.seated(),
        )

    def _silent_s(self, peer: Peer) -> float:
        """By the watch where this node watches it, else since it last greeted."""
        view = self.own.view()
        member = view.members.get(peer.id)
        if member and peer.id in view.neighbours:
            return member.silent_s
        return max(0.0, self.clock_s() - peer.heard_s) if peer.heard_s is not None else 0.0


_WELL = {
    common_pb2.NODE_STATE_ALIVE,
    common_pb2.NODE_STATE_LEFT,
    common_pb2.NODE_STATE_DRAINING,
}


_FROZEN = admin_pb2.Problem(
    code="CLUSTER_FROZEN",
    what="much was lost at once, likelier by a cut than a catastrophe: nothing is copied for now",
    next="mend the network, or start the nodes again; after 15 minutes repair begins by itself",
)
_OUT = admin_pb2.Problem(
    code="NODE_REMOVED",
    what="the node that answers was removed from this cluster for good, and no other listens to it",
    next="ask another node, with --node; a new identity brings the machine back: "
    "`mcctl cluster issue-node`, then `nodeagentd install`",
)
_LOST = {
    common_pb2.NODE_STATE_SUSPECT: ("NODE_SUSPECT", "has been silent for {s:.1f} s"),
    common_pb2.NODE_STATE_DOWN: ("NODE_DOWN", "is not running: its machine refuses connections"),
    common_pb2.NODE_STATE_DEAD: ("NODE_DEAD", "is dead: its observers do not hear it"),
}
_UNREACHABLE = (
    "NODE_UNREACHABLE",
    "has not been heard here for {s:.0f} s, and too few others say the same to call it dead",
)


def _problem(node: common_pb2.Node) -> admin_pb2.Problem:
    if node.state == common_pb2.NODE_STATE_REMOVED:
        return _OUT
    name = node.facts.name
    code, said = _LOST.get(node.state, _UNREACHABLE)
    return admin_pb2.Problem(
        code=code,
        what=f"{name} {said.format(s=node.silent_s)}",
        next=f"look at the machine: `systemctl status nodeagentd` on {name}, or "
        f"`mcctl check` for what stands between",
    )


def _ends(facts: common_pb2.NodeFacts) -> str:
    return rfc3339(facts.certificate_end_unix_s)


def _name(node: common_pb2.Node) -> str:
    return node.facts.name


def rfc3339(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds") if unix_s else ""
