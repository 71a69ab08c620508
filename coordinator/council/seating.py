"""Who should sit in the council: one, three or five nodes, no cloud with a majority where three
clouds exist, and nobody whose disk or node is gone.

Pure and slow to act: a seat changes only when a better council is possible, one change at a time,
and a member that is merely away keeps its seat for a while.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from coordinator.council.registers import Epoch, Seat
from coordinator.rendezvous import score
from coordinator.types import Domain

SIZES = (5, 3, 1)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node as the council's choice sees it."""

    seat: Seat
    domain: Domain
    sound: bool  # Alive, heard, not draining, its volume writable.
    gone: bool  # Removed, another disk, or away for longer than a seat is kept.


def size_for(nodes: int) -> int:
    """Three with three or four nodes, one below that."""
    return next(size for size in SIZES if nodes >= size or size == 1)


def next_members(epoch: Epoch, candidates: Iterable[Candidate]) -> tuple[Seat, ...] | None:
    """The members of a better council, or None when the present one may stay.

    It is reached in steps: what is lost is replaced one by one, while a majority stands.
    """
    by_seat = {candidate.seat: candidate for candidate in candidates}
    staying = [s for s in epoch.members if s in by_seat and not by_seat[s].gone]
    lost = len(epoch.members) - len(staying)
    sound = [c for c in by_seat.values() if c.sound]
    if len(staying) < epoch.majority or not sound:
        return None  # A majority is lost; nobody may go on without the operator.
    wanted = max(size_for(len([c for c in by_seat.values() if not c.gone])), 1)
    if len(epoch.members) == wanted and not lost and _spread(staying, by_seat, sound) == 0:
        return None
    if len(epoch.members) > wanted:
        return None  # Fewer nodes for now; a council shrinks only by an operator's word.
    chosen = _filled(staying, by_seat, sound, max(wanted, len(epoch.members)))
    if len(chosen) < len(epoch.members) or set(chosen) == set(epoch.members):
        return None
    worse = _spread(chosen, by_seat, sound) > _spread(epoch.members, by_seat, sound)
    if not lost and len(chosen) == len(epoch.members) and worse:
        return None
    return tuple(sorted(chosen))


def members_without(
    epoch: Epoch, candidates: Iterable[Candidate], leaving: str
) -> tuple[Seat, ...]:
    """The council when a node goes for good, by an operator's word: of those who are sound now, its
    members first. Also a smaller one; nobody when nobody is left.
    """
    by_seat = {c.seat: c for c in candidates if c.sound and not c.gone and c.seat.node != leaving}
    size = min(size_for(len(by_seat)), max(1, len(epoch.members)))
    chosen: list[Seat] = []
    for pool in ([s for s in epoch.members if s in by_seat], list(by_seat)):
        while len(chosen) < size and (free := [s for s in pool if _other_node(s, chosen)]):
            chosen.append(min(free, key=lambda s: _rank(by_seat[s], chosen, by_seat)))
    return tuple(sorted(chosen))


def _filled(
    staying: Sequence[Seat],
    by_seat: Mapping[Seat, Candidate],
    sound: Sequence[Candidate],
    wanted: int,
) -> list[Seat]:
    """Those who stay and the best others; with all seats taken, one of the fullest cloud goes."""
    chosen = list(staying)
    excess = _spread(chosen, by_seat, sound)
    if len(chosen) == wanted and excess:
        clouds = Counter(by_seat[s].domain.cloud for s in chosen)
        fullest = max(clouds, key=lambda cloud: (clouds[cloud], cloud))
        chosen.remove(max(s for s in chosen if by_seat[s].domain.cloud == fullest))
    while len(chosen) < wanted:
        free = [c for c in sound if c.seat not in chosen and _other_node(c.seat, chosen)]
        if not free:
            break
        chosen.append(min(free, key=lambda c: _rank(c, chosen, by_seat)).seat)
    return chosen if len(chosen) % 2 else chosen[:-1]


def _other_node(seat: Seat, chosen: Collection[Seat]) -> bool:
    return seat.node not in {s.node for s in chosen}


def _rank(
    candidate: Candidate, chosen: Sequence[Seat], by_seat: Mapping[Seat, Candidate]
) -> tuple[int, int, int, float]:
    """Clouds, regions and zones that have the fewest seats come first; then the draw."""
    domains = [by_seat[s].domain for s in chosen]
    own = candidate.domain
    return (
        sum(d.cloud == own.cloud for d in domains),
        sum(d.place == own.place for d in domains),
        sum(d == own for d in domains),
        -score("council", candidate.seat.node, 1.0),
    )


def _spread(
    chosen: Sequence[Seat], by_seat: Mapping[Seat, Candidate], sound: Sequence[Candidate]
) -> int:
    """How many seats too many one cloud has, where three clouds exist."""
    if len({c.domain.cloud for c in sound}) < 3 or len(chosen) < 3:
        return 0
    clouds = Counter(by_seat[s].domain.cloud for s in chosen if s in by_seat)
    return max(0, max(clouds.values()) - len(chosen) // 2)
