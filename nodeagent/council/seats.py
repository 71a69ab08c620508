"""Who could sit in the council, as this node sees the cluster; and who would when a node goes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from coordinator.council.registers import Epoch, Seat
from coordinator.council.seating import Candidate, members_without, next_members
from coordinator.types import Domain, Knowing, Member, NodeId, View

_HERE = {Knowing.ALIVE, Knowing.SUSPECT}
_NOWHERE = Domain("", "")


@dataclass(slots=True)
class Seats:
    """Remembers since when a member is away: its seat is kept for a while."""

    view: Callable[[], View]
    volume_of: Callable[[NodeId], str]  # "": none that could sit.
    replace_after_s: Callable[[], float]
    _away_since_s: dict[Seat, float] = field(default_factory=dict)

    def candidates(self, epoch: Epoch, now_s: float) -> Sequence[Candidate]:
        """Everybody who is known, and every member but those that have another disk by now."""
        members = self.view().members
        found = []
        for node, member in members.items():
            volume, facts = self.volume_of(node), member.facts
            if not volume or facts is None:
                continue
            seat = Seat(node, volume)
            gone = member.knowing is Knowing.REMOVED
            sound = member.knowing is Knowing.ALIVE and not facts.draining
            away = member.knowing not in _HERE
            gone = gone or self._away_for_s(seat, away, now_s) >= self.replace_after_s()
            found.append(Candidate(seat, facts.domain, sound=sound, gone=gone))
        known = {c.seat.node for c in found}
        for seat in epoch.members:
            if seat.node not in known:
                away_s = self._away_for_s(seat, True, now_s)
                removed = seat.node in members and members[seat.node].knowing is Knowing.REMOVED
                gone = removed or away_s >= self.replace_after_s()
                found.append(
                    Candidate(seat, _domain(members.get(seat.node)), sound=False, gone=gone)
                )
        return found

    def better(self, epoch: Epoch, now_s: float) -> tuple[Seat, ...] | None:
        """The members of a better council; None: the present one stays."""
        candidates = self.candidates(epoch, now_s)
        unheard = [c for c in candidates if c.domain == _NOWHERE and not c.gone]
        if unheard:
            return None  # A member of whom nothing is known here yet: whoever knows it may act.
        return next_members(epoch, candidates)

    def without(self, epoch: Epoch, node: NodeId, now_s: float) -> tuple[Seat, ...]:
        """The members when that node goes for good; nobody when there is no other."""
        return members_without(epoch, self.candidates(epoch, now_s), node)

    def live(self, epoch: Epoch) -> Sequence[Seat]:
        """Members that this node sees alive, in an order that all agree on."""
        members = self.view().members
        return sorted(
            s
            for s in epoch.members
            if s.node in members
            and members[s.node].knowing in _HERE
            and self.volume_of(s.node) == s.volume
        )

    def _away_for_s(self, seat: Seat, away: bool, now_s: float) -> float:
        if not away:
            self._away_since_s.pop(seat, None)
            return 0.0
        return now_s - self._away_since_s.setdefault(seat, now_s)


def _domain(member: Member | None) -> Domain:
    return member.facts.domain if member and member.facts else _NOWHERE
