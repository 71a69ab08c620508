"""One try to decide one register: asks all members to promise, takes the newest state that a
majority knows, changes it, and has a majority accept it. Nobody needs to have been asked before.

Answers must be answers to this try: whoever drives it keeps calls and answers together.

A try ends in `Decided`, in `Blocked` (learn, wait, take a higher round) or in `Moved` (the members
are others now). A try that is given up may still be decided by somebody else's write-back: asking
again with the same operation finds out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from coordinator.council.registers import (
    VALUE_BYTES_MAX,
    Accept,
    Accepted,
    Answer,
    Ballot,
    Epoch,
    Prepare,
    Promised,
    Refused,
    Request,
    Seat,
    State,
    Took,
)


@dataclass(frozen=True, slots=True)
class Change:
    """Sets a value if the register has the expected version. Without an operation: a read."""

    key: str
    expected: int = 0
    value: bytes = b""
    operation: str = ""

    def __post_init__(self) -> None:
        assert len(self.value) <= VALUE_BYTES_MAX

    @property
    def reads(self) -> bool:
        return not self.operation

    def applied(self, state: State) -> State:
        """What is to be accepted: a failed compare and a read write back what they saw."""
        if self.reads or state.version_by(self.operation) or state.version != self.expected:
            return state
        return state.changed(self.value, self.operation)


@dataclass(frozen=True, slots=True)
class Decided:
    """`version` is what the operation made; None: it did not, and `state` says what stands."""

    state: State
    version: int | None


@dataclass(frozen=True, slots=True)
class Blocked:
    """Another ballot is in the way. `round` is the highest seen; sealed: the members change."""

    round: int
    sealed: bool


@dataclass(frozen=True, slots=True)
class Moved:
    epoch: Epoch


Outcome = Decided | Blocked | Moved
Sent = tuple[Seat, Request]


@dataclass(slots=True)
class Try:
    epoch: Epoch
    change: Change
    ballot: Ballot
    outcome: Outcome | None = None
    _promised: dict[Seat, Accepted] = field(default_factory=dict)
    _took: set[Seat] = field(default_factory=set)
    _refused: dict[Seat, Refused] = field(default_factory=dict)
    _state: State | None = None  # What is to be accepted, once a majority has promised.

    def begin(self) -> list[Sent]:
        return list(self._to_all(Prepare(self.change.key, self.ballot)))

    def heard(self, seat: Seat, answer: Answer) -> list[Sent]:
        """What one member answered; what is to be asked next."""
        if self.outcome is not None or seat not in self.epoch.members:
            return []
        match answer:
            case Promised(accepted=accepted) if self._state is None:
                self._promised[seat] = accepted
                if len(self._promised) == self.epoch.majority:
                    return self._propose()
            case Took() if self._state is not None:
                self._took.add(seat)
                if len(self._took) == self.epoch.majority:
                    self.outcome = self._decided(self._state)
            case Refused():
                self._is_refused(seat, answer)
            case _:
                pass  # Late, or of another try.
        return []

    def _propose(self) -> list[Sent]:
        newest = max(self._promised.values(), key=lambda accepted: accepted.ballot)
        self._state = self.change.applied(newest.state)
        return list(self._to_all(Accept(self.change.key, self.ballot, self._state)))

    def _decided(self, state: State) -> Decided:
        return Decided(
            state, None if self.change.reads else state.version_by(self.change.operation)
        )

    def _is_refused(self, seat: Seat, refused: Refused) -> None:
        if refused.epoch.number > self.epoch.number:
            self.outcome = Moved(refused.epoch)
            return
        if refused.promised == self.ballot:
            return  # A doubled message of our own.
        self._refused[seat] = refused
        left = len(self.epoch.members) - len(self._refused)
        if left < self.epoch.majority:
            self.outcome = self.given_up()

    def given_up(self) -> Blocked:
        """Also when nobody answers: what was learned for the next try."""
        rounds = [r.promised.round for r in self._refused.values()]
        sealed = any(
            r.sealed and r.epoch.number == self.epoch.number for r in self._refused.values()
        )
        return Blocked(max([self.ballot.round, *rounds]), sealed)

    def _to_all(self, request: Request) -> Iterator[Sent]:
        return ((seat, request) for seat in self.epoch.members)
