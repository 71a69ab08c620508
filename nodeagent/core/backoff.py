"""How long to wait before trying again: exponential, with full jitter.

The jitter keeps many that failed together from coming back together.
"""

from random import Random


def delay_s(attempt: int, rng: Random, *, base_s: float, delay_s_max: float) -> float:
    """Somewhere between 0 and a bound that doubles with each attempt; the first is 0."""
    assert attempt >= 0
    assert 0 < base_s <= delay_s_max
    doublings = min(attempt, 64)  # Beyond any bound already; a float must not overflow.
    return rng.uniform(0.0, min(delay_s_max, base_s * 2.0**doublings))
