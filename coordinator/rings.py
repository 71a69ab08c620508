"""Who watches whom. Every node computes the same rings from the same members, so nothing is agreed.

Each ring is an order by hash; a node is watched by its nearest predecessor in each. Half of the
rings hold its own region, half only strangers to it, so a region that is cut off is seen from
both sides and no single place has a majority of a node's observers.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from itertools import islice

from coordinator.types import NodeId

Spot = tuple[bytes, NodeId]  # Where a node stands in a ring


class Rings:
    """Kept up to date by what has changed; asked about single nodes."""

    def __init__(self, most: int, near: int, near_members_min: int) -> None:
        self._most = most
        self._near = near
        self._near_members_min = near_members_min
        self._places: dict[NodeId, str] = {}
        self._all: list[list[Spot]] = [[] for _ in range(most)]
        self._regional: dict[str, list[list[Spot]]] = {}
        self._known: dict[NodeId, tuple[NodeId, ...]] = {}

    def put(self, node: NodeId, place: str | None) -> None:
        """A node came, moved, or (None) went."""
        old = self._places.get(node)
        if old == place:
            return
        if old is not None:
            self._remove(node, old)
        if place is not None:
            self._add(node, place)
        self._known.clear()

    def members(self) -> list[NodeId]:
        """In a fixed order, so that chance is the rng's alone."""
        return [node for _, node in self._all[0]]

    def _add(self, node: NodeId, place: str) -> None:
        self._places[node] = place
        regional = self._regional.setdefault(place, [[] for _ in range(self._near)])
        for number in range(self._most):
            insort(self._all[number], _spot(number, node))
            if number < self._near:
                insort(regional[number], _spot(number, node))

    def _remove(self, node: NodeId, place: str) -> None:
        del self._places[node]
        regional = self._regional[place]
        for number in range(self._most):
            _take_out(self._all[number], _spot(number, node))
            if number < self._near:
                _take_out(regional[number], _spot(number, node))
        if not regional[0]:
            del self._regional[place]

    def observers(self, subject: NodeId) -> tuple[NodeId, ...]:
        """Nearest ring first; none of a node that is not a member."""
        if subject not in self._places:
            return ()
        if subject not in self._known:
            self._known[subject] = self._find_observers(subject)
        return self._known[subject]

    def subjects(self, observer: NodeId) -> frozenset[NodeId]:
        """Whom a node watches: the other way round, found among those that follow it."""
        if observer not in self._places:
            return frozenset()
        if self._everyone_watches:
            return frozenset(node for node in self._places if node != observer)
        near = {node for number in range(self._most) for node in self._followers(number, observer)}
        return frozenset(node for node in near if observer in self.observers(node))

    @property
    def _everyone_watches(self) -> bool:
        return len(self._places) <= self._most + 1

    def _find_observers(self, subject: NodeId) -> tuple[NodeId, ...]:
        if self._everyone_watches:
            return tuple(sorted(node for node in self._places if node != subject))
        taken: list[NodeId] = []
        for number in range(self._most):
            for candidate in self._predecessors(number, subject):
                if candidate not in taken:
                    taken.append(candidate)
                    break
        return tuple(taken)

    def _predecessors(self, number: int, subject: NodeId) -> Iterator[NodeId]:
        """Who may watch a subject by this ring, the nearest first."""
        place = self._places[subject]
        spot = _spot(number, subject)
        if number < self._near:
            yield from _around(self._near_ring(number, place), spot, -1)
        else:
            for node in _around(self._all[number], spot, -1):
                if self._places[node] != place:
                    yield node
            # Too few strangers: rather its own region than an observer less.
            for node in _around(self._all[number], spot, -1):
                if self._places[node] == place:
                    yield node

    def _near_ring(self, number: int, place: str) -> list[Spot]:
        """A region's own ring; a small region is watched by anyone."""
        return self._all[number] if self._small(place) else self._regional[place][number]

    def _small(self, place: str) -> bool:
        return len(self._regional[place][0]) < self._near_members_min

    def _followers(self, number: int, observer: NodeId) -> Iterator[NodeId]:
        """Whose nearest predecessors may include the observer.

        A subject passes over those that it has taken in other rings, fewer than there are
        rings: behind that many it never comes to the observer.
        """
        spot = _spot(number, observer)
        place = self._places[observer]
        if number < self._near:
            if not self._small(place):
                yield from islice(_around(self._regional[place][number], spot, 1), self._most)
            followers = islice(_around(self._all[number], spot, 1), self._most)
            yield from (node for node in followers if self._small(self._places[node]))
            return
        if len(self._places) - len(self._regional[place][0]) < self._most:
            for node in _around(self._all[number], spot, 1):
                if self._places[node] == place:
                    yield node
        yield from self._strangers(number, spot, place)

    def _strangers(self, number: int, spot: Spot, place: str) -> Iterator[NodeId]:
        """By a far ring: a subject also passes over its own region, however many they are."""
        between: Counter[str] = Counter()
        for passed, node in enumerate(_around(self._all[number], spot, 1)):
            other = self._places[node]
            if other != place and passed - between[other] < self._most:
                yield node
            between[other] += 1
            if passed + 1 - max(between.values()) >= self._most:
                return


def _around(ring: list[Spot], spot: Spot, step: int) -> Iterator[NodeId]:
    """The others of a ring, beginning beside `spot`, which stands in it or would."""
    at = bisect_left(ring, spot)
    absent = at == len(ring) or ring[at] != spot
    for distance in range(1, len(ring) + absent):
        yield ring[(at + step * distance - (absent and step > 0)) % len(ring)][1]


def _take_out(ring: list[Spot], spot: Spot) -> None:
    del ring[bisect_left(ring, spot)]


@lru_cache(maxsize=65536)
def _spot(ring: int, node: NodeId) -> Spot:
    return blake2b(node.encode(), digest_size=8, person=b"ring%d" % ring).digest(), node
