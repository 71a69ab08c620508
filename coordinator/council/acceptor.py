"""One member's memory and what it answers. Whoever drives it puts `unsaved` on the disk, fsynced,
before an answer leaves; what could not be saved was never said.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from coordinator.council.registers import (
    NEXT_KEY,
    NO_BALLOT,
    Accept,
    Accepted,
    Answer,
    Ballot,
    Epoch,
    Install,
    Prepare,
    Promised,
    Refused,
    Request,
    Seal,
    Sealed,
    Took,
)

NOTHING_ACCEPTED = Accepted()


@dataclass(slots=True)
class Memory:
    """What must survive. Epoch 0 is closed: it answers nothing but its first install."""

    epoch: Epoch = field(default_factory=Epoch)
    sealed: bool = False
    promised: dict[str, Ballot] = field(default_factory=dict)
    accepted: dict[str, Accepted] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unsaved:
    """What the last answer rests on: the registers named, and whether all else changed too."""

    keys: frozenset[str] = frozenset()
    whole: bool = False

    def __bool__(self) -> bool:
        return self.whole or bool(self.keys)


SAVED = Unsaved()


class Acceptor:
    def __init__(self, memory: Memory | None = None) -> None:
        self.memory = memory or Memory()

    @property
    def open(self) -> bool:
        return self.memory.epoch.number > 0

    def answer(self, request: Request) -> tuple[Answer, Unsaved]:
        match request:
            case Prepare():
                return self._prepare(request)
            case Accept():
                return self._accept(request)
            case Seal():
                return self._seal(request)
            case Install():
                return self._install(request)

    def _prepare(self, asked: Prepare) -> tuple[Answer, Unsaved]:
        memory = self.memory
        standing = memory.promised.get(asked.key, NO_BALLOT)
        if self._deaf(asked.ballot.epoch, asked.key) or asked.ballot <= standing:
            return self._refused(standing), SAVED
        memory.promised[asked.key] = asked.ballot
        return Promised(self._accepted(asked.key)), Unsaved(frozenset({asked.key}))

    def _accept(self, asked: Accept) -> tuple[Answer, Unsaved]:
        memory = self.memory
        standing = memory.promised.get(asked.key, NO_BALLOT)
        if self._deaf(asked.ballot.epoch, asked.key) or asked.ballot < standing:
            return self._refused(standing), SAVED
        memory.promised[asked.key] = asked.ballot
        memory.accepted[asked.key] = Accepted(asked.ballot, asked.state)
        return Took(), Unsaved(frozenset({asked.key}))

    def _seal(self, asked: Seal) -> tuple[Answer, Unsaved]:
        memory = self.memory
        if not self.open or asked.epoch != memory.epoch.number:
            return self._refused(), SAVED
        unsaved = SAVED if memory.sealed else Unsaved(whole=True)
        memory.sealed = True
        carried = {key: a for key, a in memory.accepted.items() if key != NEXT_KEY}
        return Sealed(carried), unsaved

    def _install(self, asked: Install) -> tuple[Answer, Unsaved]:
        if asked.epoch.number == self.memory.epoch.number:
            return Took(), SAVED  # Whoever came first has opened it; all copied the same decisions.
        if asked.epoch.number < self.memory.epoch.number:
            return self._refused(), SAVED
        self.memory = Memory(asked.epoch, accepted=dict(asked.registers))
        return Took(), Unsaved(whole=True)

    def _deaf(self, epoch: int, key: str) -> bool:
        memory = self.memory
        shut = memory.sealed and key != NEXT_KEY
        return not self.open or epoch != memory.epoch.number or shut

    def _refused(self, standing: Ballot = NO_BALLOT) -> Refused:
        return Refused(self.memory.epoch, self.memory.sealed, standing)

    def _accepted(self, key: str) -> Accepted:
        return self.memory.accepted.get(key, NOTHING_ACCEPTED)

    def registers(self) -> Mapping[str, Accepted]:
        """What was accepted here: a copy to look at, decided or not."""
        return self.memory.accepted
