"""The trees that a delivery sends along: the elected one, and the cheapest from who has a copy."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from coordinator.places import node_of
from coordinator.policy import Site
from coordinator.tree import Edge
from coordinator.types import Domain, NodeId
from nodeagent.core.delivery_words import Branch, Push


class Cost(NamedTuple):
    """Of an edge: dollars decide, then time."""

    usd_per_gb: float
    ms: float


NOTHING = Cost(0.0, 0.0)
CostOf = Callable[[Domain, Domain], Cost]


def branches_of(edges: Iterable[Edge], root: NodeId) -> tuple[Branch, ...]:
    """What hangs below a node. Each edge comes after the one that feeds its source."""
    children: dict[NodeId, list[NodeId]] = {}
    for edge in edges:
        children.setdefault(edge.source, []).append(edge.target)
    return _below(children, root)


def _below(children: Mapping[NodeId, Sequence[NodeId]], node: NodeId) -> tuple[Branch, ...]:
    return tuple(Branch(child, _below(children, child)) for child in children.get(node, ()))


def _between(a: Site, b: Site, cost: CostOf) -> Cost:
    """A node that serves a bucket is as near to it as can be."""
    return NOTHING if node_of(a.node) == node_of(b.node) else cost(a.domain, b.domain)


def pushes(holders: Sequence[Site], wanted: Sequence[Site], cost: CostOf) -> tuple[Push, ...]:
    """Who sends to whom: each node is fed by the cheapest that has the chunk or is fed before."""
    reached, left = list(holders), list(wanted)
    children: dict[NodeId, list[NodeId]] = {}
    while left:
        *_, parent, child = min(
            (*_between(a, b, cost), order, a, b) for order, a in enumerate(reached) for b in left
        )
        children.setdefault(parent.node, []).append(child.node)
        reached.append(child)
        left.remove(child)
    return tuple(
        Push(holder.node, _below(children, holder.node))
        for holder in holders
        if holder.node in children
    )
