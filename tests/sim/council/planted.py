"""Bugs that cost decided values, each left out of the rules on purpose: the lives must find all."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from coordinator.council.acceptor import Acceptor, Memory, Unsaved
from coordinator.council.ballots import Change, Decided, Sent, Try
from coordinator.council.registers import (
    Accept,
    Accepted,
    Answer,
    Ballot,
    Epoch,
    Install,
    Prepare,
    Promised,
    Request,
    Seal,
    Seat,
    State,
    Took,
)
from coordinator.council.succession import Succession
from tests.sim.council.life import Rules


class FlatBallot(Ballot):
    """Compared by round and proposer alone, as if epochs did not matter."""

    def _key(self, other: Ballot | None = None) -> tuple[int, str]:
        ballot = other or self
        return ballot.round, ballot.proposer

    def __lt__(self, other: Ballot) -> bool:
        return self._key() < self._key(other)

    def __le__(self, other: Ballot) -> bool:
        return self._key() <= self._key(other)

    def __gt__(self, other: Ballot) -> bool:
        return self._key() > self._key(other)


class FlatAcceptor(Acceptor):
    """Compares ballots by round and proposer alone, what was carried over included."""

    def __init__(self, memory: Memory) -> None:
        flat = {k: Accepted(_flat(a.ballot), a.state) for k, a in memory.accepted.items()}
        promised = {k: _flat(b) for k, b in memory.promised.items()}
        super().__init__(Memory(memory.epoch, memory.sealed, promised, flat))


def _flat(ballot: Ballot) -> FlatBallot:
    return FlatBallot(ballot.epoch, ballot.round, ballot.proposer)


def _serves(memory: Memory, ballot: Ballot) -> bool:
    return 0 < ballot.epoch == memory.epoch.number and not memory.sealed


class ForgetsPromises(Acceptor):
    def answer(self, request: Request) -> tuple[Answer, Unsaved]:
        if isinstance(request, Prepare) and _serves(self.memory, request.ballot):
            return Promised(self._accepted(request.key)), Unsaved()
        return super().answer(request)


class AcceptsAnything(Acceptor):
    def answer(self, request: Request) -> tuple[Answer, Unsaved]:
        if isinstance(request, Accept) and _serves(self.memory, request.ballot):
            self.memory.accepted[request.key] = Accepted(request.ballot, request.state)
            return Took(), Unsaved(frozenset({request.key}))
        return super().answer(request)


class IgnoresItsSeal(Acceptor):
    def answer(self, request: Request) -> tuple[Answer, Unsaved]:
        found = super().answer(request)
        if isinstance(request, Seal):
            self.memory.sealed = False
        return found


class InstallsTwice(Acceptor):
    def answer(self, request: Request) -> tuple[Answer, Unsaved]:
        if isinstance(request, Install) and request.epoch.number == self.memory.epoch.number:
            self.memory = Memory(request.epoch, accepted=dict(request.registers))
            return Took(), Unsaved(whole=True)
        return super().answer(request)


class OneTooFew(Try):
    """A majority less one, where that is more than nobody."""

    def __init__(self, epoch: Epoch, change: Change, ballot: Ballot) -> None:
        super().__init__(_Lenient(epoch.number, epoch.members), change, ballot)


class _Lenient(Epoch):
    @property
    def majority(self) -> int:
        return max(1, len(self.members) // 2)


class ReadsWithoutWritingBack(Try):
    def _propose(self) -> list[Sent]:
        asked = super()._propose()
        assert self._state is not None
        if self.change.reads:
            self.outcome = Decided(self._state, None)
            return []
        return asked


class RefusesWithoutWritingBack(Try):
    """A compare that fails is told at once, decided or not."""

    def _propose(self) -> list[Sent]:
        asked = super()._propose()
        assert self._state is not None
        if not self.change.reads and self._state.version_by(self.change.operation) is None:
            self.outcome = Decided(self._state, None)
            return []
        return asked


class TakesAnyState(Try):
    """Of what a majority promised, what came last instead of what is newest."""

    def _propose(self) -> list[Sent]:
        _seat, last = list(self._promised.items())[-1]
        self._promised = dict.fromkeys(self._promised, last)
        return super()._propose()


class ClaimsThePresent(Try):
    """A retry that finds its own id takes the register's version for its own."""

    def _decided(self, state: State) -> Decided:
        found = super()._decided(state)
        return found if found.version is None else Decided(state, state.version)


class ForgetsItsOwnId(Try):
    """A retry is a new operation, whatever became of the first time."""

    def __init__(self, epoch: Epoch, change: Change, ballot: Ballot) -> None:
        again = (
            change if change.reads else replace(change, operation=f"{change.operation}/{ballot}")
        )
        super().__init__(epoch, again, ballot)


class SealsOne(Succession):
    """Copies what one member of the old epoch has."""

    def __init__(self, old: Epoch, members: tuple[Seat, ...]) -> None:
        super().__init__(_One(old.number, old.members), members)


class _One(Epoch):
    @property
    def majority(self) -> int:
        return 1


class CopiesTheFirst(Succession):
    """Of a register that several have, whichever comes first."""

    def heard(self, seat: Seat, answer: Answer) -> list[Sent]:
        asked = super().heard(seat, answer)
        return [(to, self._first(r) if isinstance(r, Install) else r) for to, r in asked]

    def _first(self, install: Install) -> Install:
        return Install(install.epoch, _first_of(self._sealed.values()))


def _first_of(copies: Iterable[Mapping[str, Accepted]]) -> dict[str, Accepted]:
    found: dict[str, Accepted] = {}
    for copy in copies:
        for key, accepted in copy.items():
            found.setdefault(key, accepted)
    return found


PLANTED: Mapping[str, Rules] = {
    "ballots without an epoch": Rules(acceptor=FlatAcceptor, ballot=FlatBallot),
    "promises forgotten": Rules(acceptor=ForgetsPromises),
    "accepts below its promise": Rules(acceptor=AcceptsAnything),
    "a seal that does not hold": Rules(acceptor=IgnoresItsSeal),
    "a second install": Rules(acceptor=InstallsTwice),
    "a majority less one": Rules(attempt=OneTooFew),
    "reads without writing back": Rules(attempt=ReadsWithoutWritingBack),
    "failed compares without writing back": Rules(attempt=RefusesWithoutWritingBack),
    "any promised state": Rules(attempt=TakesAnyState),
    "a retry claims the present version": Rules(attempt=ClaimsThePresent),
    "a retry is a new operation": Rules(attempt=ForgetsItsOwnId),
    "one old member is asked": Rules(succession=SealsOne),
    "any copy of a register": Rules(succession=CopiesTheFirst),
    "answers before it is on the disk": Rules(saves=lambda unsaved: unsaved.whole),
    "an empty disk answers for a lost one": Rules(new_disk_is_new=False),
}
