"""Explains the election of placement targets, as this node would hold it now."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from coordinator.electorate import Ask, World
from coordinator.placement import Election, elect
from coordinator.policy import PolicyImpossible
from coordinator.rtt_table import RttTable
from coordinator.survival import Survival
from coordinator.types import Domain, Facts, NodeId, View
from coordinator.verdicts import Candidate, candidates
from multicloud.errors import FieldFault, McError
from multicloud.regions import Regions
from multicloud.v1 import admin_pb2, common_pb2, job_pb2
from nodeagent.rpc.admin.market import prices_of
from nodeagent.rpc.call import Call
from nodeagent.rpc.policies import policy_of, refused

SIZE_BYTES_MAX = 1 << 50
KEY_LENGTH_MAX = 256


class Knowledge(Protocol):
    """What this node knows of the cluster now; each a value that changes no more."""

    def view(self) -> View: ...
    def rtts(self) -> RttTable: ...


def _nothing() -> Mapping[NodeId, str]:
    return {}


@dataclass(slots=True)
class PlacementAdmin:
    knowledge: Knowledge
    regions: Regions
    # Nodes that must not be chosen, and why in plain words: an open breaker, a version too old.
    unfit: Callable[[], Mapping[NodeId, str]] = _nothing

    async def explain_placement(
        self, request: admin_pb2.ExplainPlacementRequest, call: Call
    ) -> admin_pb2.ExplainPlacementResponse:
        _check(request)
        view = self.knowledge.view()
        source = _source(view, request.from_node)
        ask = Ask(
            policy=policy_of(request.policy),
            source=source.domain,
            key=request.placement_key,
            size_bytes=request.size_bytes,
            source_node=source.node,
        )
        domains = [m.facts.domain for m in view.members.values() if m.facts]
        prices = prices_of(self.regions, domains)
        world = World(view, prices, self.knowledge.rtts().ms, self.unfit())
        # Every plan is costed to explain why the others were not chosen: that takes a while.
        election, verdicts = await asyncio.to_thread(_explained, ask, world)
        return _answer(election, verdicts, source, prices.date)


def _explained(ask: Ask, world: World) -> tuple[Election, tuple[Candidate, ...]]:
    try:
        election = elect(ask, world)
    except PolicyImpossible as impossible:
        raise refused(ask.policy, impossible) from impossible
    return election, candidates(election)


def _check(request: admin_pb2.ExplainPlacementRequest) -> None:
    faults = []
    if not 1 <= request.size_bytes <= SIZE_BYTES_MAX:
        faults.append(FieldFault("size_bytes", f"is 1 to {SIZE_BYTES_MAX}"))
    if len(request.placement_key) > KEY_LENGTH_MAX:
        faults.append(FieldFault("placement_key", f"has no more than {KEY_LENGTH_MAX} letters"))
    if faults:
        raise McError("BAD_REQUEST", "no election can be held for this", faults=faults)


def _source(view: View, name_or_id: str) -> Facts:
    wanted = name_or_id or view.own
    for member in view.members.values():
        if member.facts and wanted in (member.id, member.facts.name):
            return member.facts
    raise McError("NODE_UNKNOWN", f"no node is called {wanted[:80]!r}, or it has not said where")


def _answer(
    election: Election, verdicts: Iterable[Candidate], source: Facts, prices_date: str
) -> admin_pb2.ExplainPlacementResponse:
    names = election.board.names | {"": source.name}
    edges = [
        # `from` is a word of Python's.
        admin_pb2.TreeEdge(
            **{"from": names[edge.source]},
            to=names[edge.target],
            usd_per_gb=edge.usd_per_gb,
            ms=edge.ms,
        )
        for edge in election.tree
    ]
    return admin_pb2.ExplainPlacementResponse(
        targets=[seat.name for seat in election.targets],
        candidates=[_candidate(verdict) for verdict in verdicts],
        tree=edges,
        survival=survival_message(election.survives),
        met=election.met,
        unmet=election.why,
        usd=election.usd,
        prices_date=prices_date,
        spares=[seat.name for seat in election.spares],
        from_node=source.name,
    )


def _candidate(verdict: Candidate) -> admin_pb2.Candidate:
    return admin_pb2.Candidate(
        node=verdict.name,
        id=verdict.node,
        eligible=verdict.eligible,
        reason=verdict.reason,
        score=verdict.score,
        domain=_domain(verdict.domain) if verdict.domain else None,
    )


def _domain(domain: Domain) -> common_pb2.Domain:
    return common_pb2.Domain(cloud=domain.cloud, region=domain.region, zone=domain.zone)


def survival_message(found: Survival) -> job_pb2.Survival:
    return job_pb2.Survival(
        nodes=found.nodes,
        zones=found.zones,
        regions=found.regions,
        clouds=found.clouds,
        sentence=found.sentence,
    )
