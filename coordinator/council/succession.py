"""From one epoch's members to the next: seal a majority of the old, copy what they accepted, open
it at a majority of the new. Decided before in the register `next`; anybody may finish what another
began, and comes to the same members.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from coordinator.council.ballots import Moved, Sent
from coordinator.council.registers import (
    Accepted,
    Answer,
    Epoch,
    Install,
    Refused,
    Seal,
    Sealed,
    Seat,
    Took,
)


@dataclass(slots=True)
class Succession:
    old: Epoch
    members: tuple[Seat, ...]  # As the register `next` of the old epoch has them, decided.
    outcome: Moved | None = None
    _sealed: dict[Seat, Mapping[str, Accepted]] = field(default_factory=dict)
    _took: set[Seat] = field(default_factory=set)

    @property
    def new(self) -> Epoch:
        return Epoch(self.old.number + 1, self.members)

    def begin(self) -> list[Sent]:
        return [(seat, Seal(self.old.number)) for seat in self.old.members]

    def heard(self, seat: Seat, answer: Answer) -> list[Sent]:
        if self.outcome is not None:
            return []
        match answer:
            case Sealed(registers=registers) if len(self._sealed) < self.old.majority:
                self._sealed[seat] = registers
                if len(self._sealed) == self.old.majority:  # Never over fewer.
                    install = Install(self.new, merged(self._sealed.values()))
                    return [(member, install) for member in self.members]
            case Took():
                self._took.add(seat)
                if len(self._took) == self.new.majority:
                    self.outcome = Moved(self.new)
            case Refused(epoch=epoch) if epoch.number > self.old.number:
                self.outcome = Moved(epoch)
            case _:
                pass
        return []


def merged(copies: Iterable[Mapping[str, Accepted]]) -> dict[str, Accepted]:
    """Of each register what was accepted under the highest ballot."""
    newest: dict[str, Accepted] = {}
    for copy in copies:
        for key, accepted in copy.items():
            if key not in newest or accepted.ballot > newest[key].ballot:
                newest[key] = accepted
    return newest
