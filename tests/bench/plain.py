"""Plain weighted rendezvous: nodes by their score, weighted by their disks, as the rules allow."""

from collections.abc import Iterator, Sequence

from coordinator.electorate import Ask, World
from coordinator.policy import Site, shortfall
from coordinator.rendezvous import score
from coordinator.types import NodeId


def elected(ask: Ask, world: World) -> Sequence[NodeId]:
    """The first that rank, each only if the rules can still be met with it."""
    chosen: list[Site] = []
    for site in _ranked(ask, world):
        left = ask.policy.replicas - len(chosen) - 1
        if all(short <= left for short in shortfall(ask.policy, [*chosen, site])):
            chosen.append(site)
        if len(chosen) == ask.policy.replicas:
            break
    return [site.node for site in chosen]


def _ranked(ask: Ask, world: World) -> Iterator[Site]:
    facts = [m.facts for m in world.view.members.values() if m.facts]
    ranked = sorted(facts, key=lambda f: score(ask.key, f.node, f.bytes_total), reverse=True)
    return (Site(f.domain, f.node) for f in ranked)
