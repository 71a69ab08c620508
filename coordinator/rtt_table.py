"""What the whole cluster knows of distances: every node's own measurements merged into one table of
pairs of places, estimates for the rest. A value: made anew from the members' facts, never changed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from coordinator.types import Coordinate, Domain, Facts, NodeId
from coordinator.vivaldi import VivaldiSettings, estimate_ms, usable

Source = Literal["measured", "estimated"]
Typical = Callable[[Domain, Domain], float]  # Milliseconds, for before anything is known.

RTT_MS_MAX = 10_000.0
PLACES_MAX = 64  # Of one node; more is not looked at.
ERROR_USABLE_MAX = 0.5  # A coordinate that is this unsure of itself estimates nothing.
_SPACE = VivaldiSettings()


@dataclass(frozen=True, slots=True)
class Rtt:
    """One cell. The age of an estimate is 0."""

    ms: float
    source: Source
    age_s: float = 0.0
    nodes: int = 0  # That measured it.


@dataclass(frozen=True, slots=True)
class Told:
    """One node's facts, and since when they are known here."""

    facts: Facts
    since_s: float


@dataclass(frozen=True, slots=True)
class _Claims:
    """The least of what nodes claim of one pair, and since when it is known."""

    ms: float
    since_s: float
    nodes: int


def key_of(own: Domain, other: Domain) -> str:
    """What a node calls the place of another: its region, and inside its own region the zone."""
    return str(other) if own.place == other.place else other.place


class RttTable:
    """Answers for any two places, in either direction alike."""

    def __init__(self, typical: Typical, told: Mapping[NodeId, Told] | None = None) -> None:
        self._typical = typical
        self._told = dict(told or {})
        self._at: dict[str, list[Told]] = defaultdict(list)
        for one in self._told.values():
            self._at[one.facts.domain.place].append(one)
        # Filled as it is asked for: of all the pairs of a large cluster few ever are.
        self._least: dict[tuple[str, str], _Claims | None] = {}
        self._standing: dict[str, Coordinate | None] = {}

    def merged(self, facts: Iterable[Facts], now_s: float) -> "RttTable":
        """The table of exactly these members; what one said before stays as old as it is."""
        told: dict[NodeId, Told] = {}
        for one in facts:
            known = told.get(one.node) or self._told.get(one.node)
            if known is None or one.age > known.facts.age:
                known = Told(one, now_s)
            told[one.node] = known
        # The same table while nothing is new, so that what was made from it stays good.
        if told.keys() == self._told.keys() and all(told[n] is self._told[n] for n in told):
            return self
        return RttTable(self._typical, told)

    def rtt(self, a: Domain, b: Domain, now_s: float) -> Rtt:
        """Measured where any node of the two places has; else by coordinates; else typical."""
        first, second = sorted((a, b))
        key = (str(first), str(second)) if a.place == b.place else (first.place, second.place)
        if key not in self._least:
            self._least[key] = self._claimed(first, second)
        found = self._least[key]
        if found is not None:
            return Rtt(found.ms, "measured", max(0.0, now_s - found.since_s), found.nodes)
        return Rtt(self._estimated_ms(first, second), "estimated")

    def ms(self, a: Domain, b: Domain) -> float:
        """The figure alone, for whoever chooses by it."""
        return self.rtt(a, b, 0.0).ms

    def _claimed(self, a: Domain, b: Domain) -> "_Claims | None":
        claims = [*self._claims(a, b), *(self._claims(b, a) if a != b else ())]
        if not claims:
            return None
        ms, since_s = min(claims, key=lambda claim: (claim[0], -claim[1]))
        return _Claims(ms, since_s, len(claims))

    def _claims(self, own: Domain, other: Domain) -> list[tuple[float, float]]:
        """(ms, since) by the nodes of one place about the other."""
        key, inside = key_of(own, other), own.place == other.place
        return [
            (ms, told.since_s)
            for told in self._at.get(own.place, ())
            if (not inside or told.facts.domain == own)
            and (ms := _claim(told.facts.rtts_ms, key)) is not None
        ]

    def _estimated_ms(self, a: Domain, b: Domain) -> float:
        if a.place != b.place:
            here, there = self._stands(a.place), self._stands(b.place)
            if here is not None and there is not None:
                return estimate_ms(here, there)
        return self._typical(a, b)

    def _stands(self, place: str) -> Coordinate | None:
        """The coordinate of the node there that is surest of its own."""
        if place not in self._standing:
            found = [
                told.facts.coordinate
                for told in self._at.get(place, ())
                if told.facts.coordinate is not None
                and usable(told.facts.coordinate, _SPACE)
                and told.facts.coordinate.error <= ERROR_USABLE_MAX
            ]
            # By all its figures, so that the order in which members are listed decides nothing.
            self._standing[place] = min(found, key=_sureness, default=None)
        return self._standing[place]


def _claim(rtts_ms: Mapping[str, float], key: str) -> float | None:
    if len(rtts_ms) > PLACES_MAX:
        return None
    ms = rtts_ms.get(key)
    return ms if ms is not None and 0 < ms <= RTT_MS_MAX else None


def _sureness(coordinate: Coordinate) -> tuple[float, float, tuple[float, ...]]:
    return coordinate.error, coordinate.height_ms, coordinate.position
