"""Who watches whom. Every node computes the same rings from the same members, so nothing is agreed.

Each ring is an order by hash; a node is watched by its nearest predecessor in each. Half of the
rings hold its own region, half only strangers to it, so a region that is cut off is seen from
both sides and no single place has a majority of a node's observers.
"""

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b

from coordinator.types import NodeId

Standing = tuple[NodeId, str]  # A member and its place


@lru_cache(maxsize=64)
def observers(
    members: tuple[Standing, ...], most: int, near: int, near_members_min: int
) -> Mapping[NodeId, tuple[NodeId, ...]]:
    """Subject to its observers, nearest ring first. `members` is sorted."""
    if len(members) <= most + 1:  # So few that everyone watches everyone.
        ids = [node for node, _ in members]
        return {node: tuple(other for other in ids if other != node) for node in ids}
    sizes = Counter(place for _, place in members)
    places = dict(members)
    found: dict[NodeId, list[NodeId]] = {node: [] for node, _ in members}
    for ring in range(most):
        order = sorted((_hash(ring, node), node) for node, _ in members)
        nodes = [node for _, node in order]
        for position, subject in enumerate(nodes):
            place = places[subject]
            wants_near = ring < near and sizes[place] >= near_members_min
            wants_far = ring >= near and sizes[place] < len(nodes)
            taken = found[subject]
            for back in range(1, len(nodes)):
                candidate = nodes[position - back]
                same = places[candidate] == place
                if (wants_near and not same) or (wants_far and same) or candidate in taken:
                    continue
                taken.append(candidate)
                break
    return {subject: tuple(those) for subject, those in found.items()}


@lru_cache(maxsize=64)
def subjects(
    members: tuple[Standing, ...], most: int, near: int, near_members_min: int
) -> Mapping[NodeId, frozenset[NodeId]]:
    """The other way round: observer to those it watches."""
    watched: dict[NodeId, set[NodeId]] = {node: set() for node, _ in members}
    for subject, those in observers(members, most, near, near_members_min).items():
        for observer in those:
            watched[observer].add(subject)
    return {observer: frozenset(those) for observer, those in watched.items()}


@lru_cache(maxsize=16384)
def _hash(ring: int, node: NodeId) -> bytes:
    return blake2b(node.encode(), digest_size=8, person=b"ring%d" % ring).digest()
