"""Where copies go in the simulated world: any order that meets the policy as soon as may be."""

from collections.abc import Sequence

from coordinator.policy import Policy, Site, shortfall
from coordinator.rendezvous import score
from coordinator.types import Knowing, View

_TAKES = (Knowing.ALIVE, Knowing.SUSPECT)


def takers(policy: Policy, chunk_id: bytes, view: View, holders: Sequence[Site]) -> list[Site]:
    """All others that live, the most useful first, each given those before it."""
    free = [
        Site(member.facts.domain, node)
        for node, member in view.members.items()
        if member.facts is not None and member.knowing in _TAKES
    ]
    held = {site.node for site in holders}
    free = sorted(
        (site for site in free if site.node not in held),
        key=lambda site: (-score(chunk_id.hex(), site.node, 1.0), site.node),
    )
    chosen: list[Site] = []
    while free:
        best = min(free, key=lambda site: shortfall(policy, [*holders, *chosen, site]))
        free.remove(best)
        chosen.append(best)
    return chosen
