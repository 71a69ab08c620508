"""Who keeps a chunk that has more copies than its policy asks for. All holders rank alike, so two
that look at once never both rely on each other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from coordinator.policy import Policy, Site, shortfall
from coordinator.rendezvous import score
from coordinator.types import NodeId

SAME_WEIGHT = 1.0  # Room is seen differently from everywhere; the rank must not be.


def better(chunk_id: bytes, own: NodeId, sites: Iterable[Site]) -> list[Site]:
    """Those that rank before this node, the best first."""
    own_rank = _rank(chunk_id, own)
    ranked = sorted((_rank(chunk_id, site.node), site) for site in sites if site.node != own)
    return [site for rank, site in ranked if rank < own_rank]


def by_rank(chunk_id: bytes, holders: Iterable[tuple[NodeId, str]]) -> list[tuple[NodeId, str]]:
    """Nodes with their volumes, the best node first."""
    return sorted(holders, key=lambda holder: (_rank(chunk_id, holder[0]), holder[1]))


def keepers(policy: Policy, ranked: Sequence[Site]) -> tuple[Site, ...] | None:
    """The first few nodes that meet the policy by themselves; None when all of them do not. A
    copy in a bucket makes none on a node needless.

    Nobody among the keepers has keepers before itself, so none of them ever trims.
    """
    policy = replace(policy, bucket="")
    for count in range(policy.replicas, len(ranked) + 1):
        if not any(shortfall(policy, ranked[:count])):
            return tuple(ranked[:count])
    return None


def _rank(chunk_id: bytes, node: NodeId) -> tuple[float, NodeId]:
    return -score(chunk_id.hex(), node, SAME_WEIGHT), node
