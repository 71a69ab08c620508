"""What limits a running job: the stage at which its tasks stand most of their time, and when that
is sending, the link that waited most.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LINK_WAITED_MIN = 0.25  # Of the time of its streams; a link that waits less holds up nobody.
DEGRADED_MIN = 0.5

_WORDS = {
    "ingest": "reading the source limits it",
    "process": "processing limits it",
    "seal": "sealing (compression, encryption) limits it",
    "send": "sending and storing limits it",
}


@dataclass(frozen=True, slots=True)
class Link:
    """What one node sent another in a while, and how long it waited for the other's credit."""

    source: str
    target: str
    bytes: int
    seconds: float  # Of all its streams, added up.
    waited_s: float

    @property
    def waited_share(self) -> float:
        return min(1.0, self.waited_s / self.seconds) if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Limit:
    stage: str
    share: float  # Of the time of all tasks.
    link: Link | None
    sentence: str


def limit_of(stages: Mapping[str, float], links: Sequence[Link]) -> Limit | None:
    """By the seconds that tasks stood at each stage in the same while. None: nothing ran."""
    total_s = sum(stages.values())
    if total_s <= 0:
        return None
    stage = max(stages, key=lambda name: stages[name])
    share = stages[stage] / total_s
    said = f"{_WORDS.get(stage, f'{stage} limits it')}: tasks stand there {share:.0%} of their time"
    waiting = [one for one in links if one.waited_share >= LINK_WAITED_MIN]
    if stage != "send" or not waiting:
        return Limit(stage, share, None, said)
    link = max(waiting, key=lambda one: one.waited_s)
    said = (
        f"the link {link.source} → {link.target} limits it: tasks send {share:.0%} of their time, "
        f"and it waited {link.waited_share:.0%} of its own for the other side"
    )
    return Limit(stage, share, link, said)


def degraded(links: Sequence[Link]) -> list[Link]:
    """Those that mostly wait, the worst first."""
    found = [one for one in links if one.waited_share >= DEGRADED_MIN]
    return sorted(found, key=lambda one: -one.waited_s)
