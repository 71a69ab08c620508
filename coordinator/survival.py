"""What a placement survives, by trying every loss, and the odds of losses beyond that.

Nothing here is assumed from the policy's name: figures come from domains and arithmetic.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil, comb

from coordinator.policy import Level, Policy, Site

SHARE_PROMISED = 0.2  # "Fewer than 20 % of the nodes": how people ask.


@dataclass(frozen=True, slots=True)
class Survival:
    """So many domains of a level, whichever, can be lost at once and a copy is left."""

    nodes: int
    zones: int
    regions: int
    clouds: int
    sentence: str


def survival(sites: Sequence[Site]) -> Survival:
    """Of the copies that stand there."""
    losses = {level: _losses(sites, level) for level in Level}
    buckets = sum(bool(site.bucket) for site in sites)
    return _survival(losses, _copies(len(sites) - buckets, buckets))


def policy_survival(policy: Policy) -> Survival:
    """Of whatever placement meets the policy."""
    losses = {level: policy.count(level) - 1 for level in Level}
    losses[Level.NODE] = policy.replicas - 1
    if policy.bucket:  # It is lost with no node and no zone, but perhaps with a region.
        losses[Level.NODE] += 1
        losses[Level.ZONE] += 1
    return _survival(losses, _copies(policy.replicas, int(bool(policy.bucket))))


def _copies(nodes: int, buckets: int) -> str:
    on_nodes = f"{nodes} copies" if nodes != 1 else "1 copy"
    return f"{on_nodes} and {buckets} in a bucket" if buckets else on_nodes


def _losses(sites: Sequence[Site], level: Level) -> int:
    """The most domains whose loss, whichever they are, leaves a copy."""
    domains = sorted({site.at(level) for site in sites})
    survived = 0
    for count in range(1, len(domains) + 1):
        for lost in combinations(domains, count):
            if all(site.at(level) in lost for site in sites):
                return survived
        survived = count
    return survived


def _survival(losses: dict[Level, int], copies: str) -> Survival:
    said = [f"any {_count(n, level)}" for level, n in losses.items() if n > 0]
    sentence = f"{copies}: survives the loss at once of {_either(said)}" if said else f"{copies}"
    frail = [level.word for level in Level if losses[level] <= 0]
    if frail:
        sentence += f"; the loss of one {' or '.join(frail)} can lose data"
    return Survival(
        nodes=max(0, losses[Level.NODE]),
        zones=max(0, losses[Level.ZONE]),
        regions=max(0, losses[Level.REGION]),
        clouds=max(0, losses[Level.CLOUD]),
        sentence=f"{sentence}.",
    )


@dataclass(frozen=True, slots=True)
class Odds:
    """Of losing data when so many nodes die for good before anything is repaired."""

    chunks_share: float  # Expected share of all chunks that are lost.
    any_lost: float  # Chance that at least one is.


def odds(nodes: int, replicas: int, lost: int, copysets: float) -> Odds:
    """`copysets` is how many different groups of nodes hold chunks: see the two below."""
    if lost < replicas or nodes < replicas:
        return Odds(0.0, 0.0)
    share = comb(lost, replicas) / comb(nodes, replicas)
    return Odds(share, 1.0 - (1.0 - share) ** copysets)


def copysets_free(nodes: int, replicas: int, chunks: int) -> int:
    """Groups when every chunk draws its own nodes."""
    return min(chunks, comb(nodes, replicas))


def copysets_bound(nodes: int, replicas: int, scatter: int) -> float:
    """Groups when each node shares chunks with `scatter` others only."""
    return nodes * scatter / (replicas * (replicas - 1))


def share_sentence(nodes: int, replicas: int, chunks: int) -> str:
    """The truth about "fewer than 20 % of the nodes lost at once, and nothing is lost"."""
    lost = ceil(nodes * SHARE_PROMISED) - 1
    promise = f"fewer than {SHARE_PROMISED:.0%} of {nodes} nodes ({lost})"
    if lost < replicas:
        return f"Losing {promise} at once loses nothing."
    found = odds(nodes, replicas, lost, copysets_free(nodes, replicas, chunks))
    return (
        f"Losing {promise} at once, any of them, for good: some of {chunks} chunks are lost with "
        f"a chance of {found.any_lost:.2g}, {found.chunks_share:.2%} of them on average."
    )


def _count(number: int, level: Level) -> str:
    return f"{number} {level.word}{'' if number == 1 else 's'}"


def _either(said: Sequence[str]) -> str:
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} or {said[-1]}"
