"""What it costs to send a gigabyte (10^9 bytes) from one place to another, as a plain value.

The body makes it from the list of regions that ships and from what the operator knows better.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from coordinator.types import Domain

GB = 1_000_000_000


class Tariff(Enum):
    PER_GB = "per GB"
    FLAT = "flat"  # Paid for anyway: a line of one's own. One more gigabyte costs nothing.
    FREE = "free"


@dataclass(frozen=True, slots=True)
class Price:
    usd_per_gb: float
    tariff: Tariff = Tariff.PER_GB

    @property
    def marginal_usd_per_gb(self) -> float:
        """What one more gigabyte costs: what a choice depends on."""
        return self.usd_per_gb if self.tariff is Tariff.PER_GB else 0.0


FREE = Price(0.0, Tariff.FREE)


@dataclass(frozen=True, slots=True)
class Prices:
    """`between` maps (from, to), each "cloud/region", to a price; (x, x) is between its zones."""

    date: str
    unknown: Price
    between: Mapping[tuple[str, str], Price] = field(default_factory=dict)

    def price(self, a: Domain, b: Domain) -> Price:
        if a == b and a.zone:
            return FREE
        return self.between.get((a.place, b.place), self.unknown)

    def usd_per_gb(self, a: Domain, b: Domain) -> float:
        return self.price(a, b).marginal_usd_per_gb
