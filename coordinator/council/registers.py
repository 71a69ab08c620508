"""The words of the council: ballots, members, registers, and what is said between them.

A register holds a version, a value, and the ids of the last operations that changed it with the
versions that they made, so that whoever asks again learns what became of the first time.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

NEXT_KEY = "next"  # Who the members of the next epoch are; the one register a seal leaves open.
OPERATIONS_KEPT = 32
VALUE_BYTES_MAX = 32 << 10  # A register fits one control message.


@dataclass(frozen=True, slots=True, order=True)
class Ballot:
    """The epoch goes first: what was carried over never outranks what is decided since."""

    epoch: int = 0
    round: int = 0
    proposer: str = ""


NO_BALLOT = Ballot()


@dataclass(frozen=True, slots=True, order=True)
class Seat:
    """A member is a node with its disk: whoever lost the disk is somebody else."""

    node: str
    volume: str


@dataclass(frozen=True, slots=True)
class Operation:
    id: str
    version: int  # That it made.


@dataclass(frozen=True, slots=True)
class State:
    version: int = 0
    value: bytes = b""
    operations: tuple[Operation, ...] = ()

    def changed(self, value: bytes, operation: str) -> "State":
        version = self.version + 1
        kept = (*self.operations, Operation(operation, version))[-OPERATIONS_KEPT:]
        return State(version, value, kept)

    def version_by(self, operation: str) -> int | None:
        """The version that this operation made, when it is among the last ones."""
        return next((o.version for o in self.operations if o.id == operation), None)


NOTHING = State()


@dataclass(frozen=True, slots=True)
class Accepted:
    ballot: Ballot = NO_BALLOT
    state: State = NOTHING


@dataclass(frozen=True, slots=True)
class Epoch:
    """Who decides now. Number 0 has no members: nobody told us yet."""

    number: int = 0
    members: tuple[Seat, ...] = ()

    @property
    def majority(self) -> int:
        return len(self.members) // 2 + 1


def members_value(members: tuple[Seat, ...]) -> bytes:
    """The members of the next epoch as the register `next` holds them."""
    return json.dumps([[seat.node, seat.volume] for seat in members]).encode()


def members_of(value: bytes) -> tuple[Seat, ...]:
    return tuple(Seat(node, volume) for node, volume in json.loads(value))


# --- what is asked of an acceptor, and what it answers


@dataclass(frozen=True, slots=True)
class Prepare:
    key: str
    ballot: Ballot


@dataclass(frozen=True, slots=True)
class Accept:
    key: str
    ballot: Ballot
    state: State


@dataclass(frozen=True, slots=True)
class Seal:
    epoch: int


@dataclass(frozen=True, slots=True)
class Install:
    epoch: Epoch
    registers: Mapping[str, Accepted]


Request = Prepare | Accept | Seal | Install


@dataclass(frozen=True, slots=True)
class Promised:
    accepted: Accepted


@dataclass(frozen=True, slots=True)
class Took:
    """The state of an Accept, or the epoch of an Install, is on its disk."""


@dataclass(frozen=True, slots=True)
class Sealed:
    registers: Mapping[str, Accepted]


@dataclass(frozen=True, slots=True)
class Refused:
    """`promised` is the ballot that stands in the way, if one does."""

    epoch: Epoch
    sealed: bool
    promised: Ballot = NO_BALLOT


Answer = Promised | Took | Sealed | Refused
