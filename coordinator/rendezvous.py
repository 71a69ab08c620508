"""Weighted rendezvous hashing: everyone ranks alike, and who leaves changes no other's score."""

from hashlib import blake2b
from math import log, log2

_ONE = 1 << 64


def score(key: str, name: str, weight: float) -> float:
    """Of names with these scores the highest wins as often as its share of all weights."""
    digest = blake2b(f"{key}\0{name}".encode(), digest_size=8).digest()
    chance = (int.from_bytes(digest, "big") + 0.5) / _ONE
    return -max(weight, 0.0) / log(chance) if weight > 0 else 0.0


def weight(room_bytes: int) -> float:
    """Room as a weight, in steps of the square root of 2, so that small changes change nothing."""
    return 2.0 ** (round(2 * log2(room_bytes)) / 2) if room_bytes > 0 else 0.0
