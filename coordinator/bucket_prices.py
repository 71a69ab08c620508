"""What a copy in a bucket costs beside its transfer: requests, and room by the month.

List prices of the standard class in each cloud's cheapest large region; who pays others knows it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.prices import GB

PRICES_DATE = "2026-10-01"
PUTS_A_CHUNK = 2  # The object, and a word in the volume's journal.
GETS_A_CHECK = 3  # Head, tail, and what is between.
CHECKS_A_MONTH = 30 / 7  # Every byte is read within a week.


@dataclass(frozen=True, slots=True)
class BucketPrice:
    usd_per_1000_puts: float
    usd_per_1000_gets: float
    usd_per_gb_month: float


PRICES: Mapping[str, BucketPrice] = {
    "aws": BucketPrice(0.005, 0.0004, 0.023),
    "gcp": BucketPrice(0.005, 0.0004, 0.020),
    "azure": BucketPrice(0.0055, 0.00044, 0.018),
}
OWN = BucketPrice(0.0, 0.0, 0.0)  # An endpoint of one's own is paid for anyway.


@dataclass(frozen=True, slots=True)
class BucketCosts:
    puts: int
    puts_usd: float
    gets_a_month: int
    usd_a_month: float  # Room, and what is read to check it.


def bucket_costs(cloud: str, chunks: int, stored_bytes: int) -> BucketCosts:
    price = PRICES.get(cloud, OWN)
    puts = chunks * PUTS_A_CHUNK
    gets = round(chunks * GETS_A_CHECK * CHECKS_A_MONTH)
    room_usd = stored_bytes / GB * price.usd_per_gb_month
    return BucketCosts(
        puts,
        puts * price.usd_per_1000_puts / 1000,
        gets,
        room_usd + gets * price.usd_per_1000_gets / 1000,
    )
