"""The network between simulated nodes: distance, jitter, loss, and links that are cut.

Loss is TCP's: nothing disappears, it arrives later, after one or more retransmission times.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from coordinator.types import Domain
from multicloud import regions

RETRANSMIT_S_MIN = 0.2  # Linux's least retransmission time; then 2 round trips, then doubling.
SYN_RETRANSMIT_S = 1.0  # Before a round trip is known.
JITTER_SHARE = 0.04  # AWS's p90 is 1.04 times its median: exponential, with this mean.
JITTER_S = 0.000_2
KILOMETRES_PER_MS = 100.0  # There and back in fibre, with the detours of real cables.
SYNTHETIC_REGIONS = 24


@lru_cache(maxsize=1)
def places() -> tuple[tuple[Domain, ...], dict[tuple[str, str], float]]:
    """Regions that ship, and as many again that do not exist, with all round trips in seconds."""
    listed = regions.load()
    names = sorted(listed.by_name)
    real = [Domain(*name.split("/")) for name in names]
    rng = Random(20)
    made = [
        Domain(("aws", "gcp", "azure")[i % 3], f"made-{i:02d}") for i in range(SYNTHETIC_REGIONS)
    ]
    spots = {d.place: (rng.uniform(0, 18000), rng.uniform(0, 7000)) for d in (*real, *made)}
    rtts_s: dict[tuple[str, str], float] = {}
    for a in (*real, *made):
        for b in (*real, *made):
            if a in real and b in real:
                rtt_ms = listed.rtt_ms(a, b)
            elif a == b:
                rtt_ms = listed.otherwise.same_region_ms
            else:
                rtt_ms = 1.5 + math.dist(spots[a.place], spots[b.place]) / KILOMETRES_PER_MS
            rtts_s[a.place, b.place] = rtt_ms / 1000
    return (*real, *made), rtts_s


def domains(count: int, region_count: int = 0) -> list[Domain]:
    """Where `count` nodes stand: region by region around the clouds, three zones in each."""
    every, _ = places()
    by_cloud = [[d for d in every if d.cloud == cloud] for cloud in ("aws", "gcp", "azure")]
    around = [d for group in zip(*by_cloud, strict=False) for d in group]
    used = around[: region_count or max(1, min(len(around), count // 3 + count % 2))]
    return [
        Domain(used[i % len(used)].cloud, used[i % len(used)].region, "abc"[i // len(used) % 3])
        for i in range(count)
    ]


@dataclass(slots=True)
class Cut:
    """Nothing passes from any of `senders` to any of `receivers`."""

    senders: frozenset[str]
    receivers: frozenset[str]


class Network:
    """What the packets between two hosts meet now. Every draw comes from the world's chance."""

    def __init__(self, rng: Random, loss: float = 0.0) -> None:
        self._rng = rng
        self.loss = loss
        self.slow_s: dict[str, float] = {}  # Mean of an exponential delay, each way.
        self.cuts: list[Cut] = []
        self.refusing: set[tuple[str, str]] = set()  # A box between these two refuses dials.
        self._rtts_s = places()[1]

    def rtt_s(self, a: Domain, b: Domain) -> float:
        if a.place == b.place and a.zone == b.zone:
            return 0.000_3
        return self._rtts_s[a.place, b.place]

    def passes(self, sender: str, receiver: str) -> bool:
        return not any(sender in cut.senders and receiver in cut.receivers for cut in self.cuts)

    def cut(self, senders: Iterable[str], receivers: Iterable[str], one_way: bool = False) -> None:
        there, here = frozenset(senders), frozenset(receivers)
        self.cuts.append(Cut(there, here))
        if not one_way:
            self.cuts.append(Cut(here, there))

    def heal(self) -> None:
        self.cuts.clear()
        self.refusing.clear()

    def delay_s(self, sender: str, receiver: str, rtt_s: float, retry_s: float) -> float:
        """One way for one segment, retransmissions included."""
        draw = self._rng.random
        delay_s = rtt_s / 2 - math.log(1.0 - draw()) * (rtt_s / 2 * JITTER_SHARE + JITTER_S)
        if self.slow_s:
            for host in (sender, receiver):
                if host in self.slow_s:
                    delay_s += self._rng.expovariate(1 / self.slow_s[host])
        if self.loss:
            while draw() < self.loss:
                delay_s += retry_s
                retry_s *= 2
        return delay_s
