"""Which nodes read a source that several can: those for which its bytes leave it for the fewest
dollars, the nearest of them first. Others would pay for what the copies cost in any case.
"""

from collections.abc import Mapping
from math import inf
from typing import Protocol

from coordinator.types import Domain, NodeId

CLOUD_OF = {"s3": "aws", "gs": "gcp", "az": "azure"}
SAME_USD = 1e-9


class Distances(Protocol):
    """`multicloud.regions.Regions`."""

    def rtt_ms(self, a: Domain, b: Domain, /) -> float: ...
    def egress_usd_per_gb(self, a: Domain, b: Domain, /) -> float: ...


def place_of(kind: str, region: str) -> str:
    """`cloud/region`, as the table of regions names it. An endpoint of one's own is configured with
    such a name itself, where it stands in a cloud.
    """
    region = region.strip().lower()
    if not region or "/" in region or kind not in CLOUD_OF:
        return region if "/" in region else ""
    return f"{CLOUD_OF[kind]}/{region}"


def domain_of(place: str) -> Domain | None:
    cloud, _, region = place.partition("/")
    return Domain(cloud, region) if cloud and region else None


def usd_per_gb(source: Domain | None, node: Domain | None, known: Distances) -> float:
    """What the source's cloud asks for a gigabyte that goes to that node."""
    if source is None or (node is not None and node.place == source.place):
        return 0.0
    return known.egress_usd_per_gb(source, node or Domain("", ""))


def costs(
    source: Domain | None, able: Mapping[NodeId, Domain | None], known: Distances
) -> dict[NodeId, float]:
    """Milliseconds away, for each that is to read; infinite for those who would pay more."""
    if source is None:
        return dict.fromkeys(able, 0.0)
    usd = {node: usd_per_gb(source, domain, known) for node, domain in able.items()}
    least = min(usd.values(), default=0.0)
    return {
        node: known.rtt_ms(source, domain or Domain("", ""))
        if usd[node] <= least + SAME_USD
        else inf
        for node, domain in able.items()
    }
