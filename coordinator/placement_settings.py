"""The knobs of the election of placement targets, with the reason for each value."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlacementSettings:
    # What a plan costs: dollars, time, fullness and luck, as one figure.
    usd_per_gb_unit: float = 0.09  # One unit of cost: a gigabyte out of a cloud.
    time_weight: float = 0.5  # Of a plan's transfer time over the shortest that could be.
    # The price of room in a zone, for every copy. Prices that grow exponentially fill unequal
    # zones evenly whatever comes; otherwise the cheap fill first, and what is left of the dear
    # ones lacks partners in another cloud. The weight is that of a full zone beside an empty one.
    full_weight: float = 20.0
    full_doublings: float = 6.0
    failure_weight: float = 0.3  # Of the share of recent transfers that failed.
    near_ms: float = 1.0  # Copies so much farther from the wished region are as near.
    # Which plans stay in the draw.
    keep_share: float = 0.10  # As much above the best a plan may enter,
    leave_share: float = 0.20  # and so much it may stand above it before it leaves.
    # Who may be chosen.
    reserve_share: float = 0.05  # Of a disk is never given away,
    reserve_bytes_max: int = 10_000_000_000  # but no more than this.
    wait_full_ms: float = 1000.0  # To wait so long is as bad as a full disk.
    # How long a transfer takes: the slower of the machine, and a window a round trip.
    node_bytes_per_s: float = 500e6  # A VM with some 5 Gbit/s.
    window_bytes: float = 16 * 2**20
    # Bounds: why so many zones are enough is said in plan_maker.py.
    zones_max: int = 18
    zones_max_four: int = 12
    remembered_max: int = 64  # Sources and policies whose plans are remembered.
