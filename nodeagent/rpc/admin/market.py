"""The brain's prices, made from the list of regions that ships."""

from collections.abc import Iterable
from itertools import product

from coordinator.prices import Price, Prices
from coordinator.types import Domain
from multicloud.regions import Regions


def prices_of(regions: Regions, domains: Iterable[Domain]) -> Prices:
    """Between all places where somebody stands, and all that are listed."""
    listed = {_domain(name) for name in regions.by_name}
    places = sorted({Domain(d.cloud, d.region) for d in domains} | listed)
    return Prices(
        date=regions.prices_of.isoformat(),
        unknown=Price(regions.otherwise.unknown_usd_per_gb),
        between={
            (a.place, b.place): Price(regions.egress_usd_per_gb(a, b))
            for a, b in product(places, places)
        },
    )


def _domain(name: str) -> Domain:
    cloud, _, region = name.partition("/")
    return Domain(cloud, region)
