"""What a caller was told, in order, and so what the store owes from then on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from tests.crash.disk import Mark, Op
from tests.support.disks import Verdict


class Word(Enum):
    """What is asked, or was answered. From the moment of asking, either may be true."""

    STORED = "stored"  # Acknowledged: bytes, name and, where one was asked for, the pin.
    LIVING = "living"  # Revived or found here.
    DAMAGED = "damaged"  # Its file could not be read: it is evidence from now on.
    ASK_TRASH = "ask trash"
    TRASHED = "trashed"
    KEPT = "kept"  # It was not trashed, for it is pinned.
    ASK_PURGE = "ask purge"
    ASK_UNPIN = "ask unpin"
    ASK_DISCARD = "ask discard"


@dataclass(frozen=True, slots=True)
class Fact:
    word: Word
    chunk: bytes = b""
    holder: str = ""


@dataclass
class Owed:
    living: set[bytes] = field(default_factory=set)  # Where readers look first.
    kept: set[bytes] = field(default_factory=set)  # There or in the trash: a read finds it.
    doubtful: set[bytes] = field(default_factory=set)  # Living, unless the trash has them by now.
    pins: dict[bytes, set[str]] = field(default_factory=dict)
    evidence: list[bytes] = field(default_factory=list)  # Files that are damaged, kept as such.

    def hear(self, fact: Fact) -> None:
        match fact.word:
            case Word.STORED | Word.LIVING:
                self.living.add(fact.chunk)
                self.kept.add(fact.chunk)
                if fact.holder:
                    self.pins.setdefault(fact.chunk, set()).add(fact.holder)
            case Word.ASK_TRASH if fact.chunk in self.living:
                self.living.discard(fact.chunk)
                self.doubtful.add(fact.chunk)
            case Word.TRASHED:
                self.doubtful.discard(fact.chunk)
            case Word.KEPT:
                self.living.update(self.doubtful & {fact.chunk})
            case Word.ASK_PURGE if fact.chunk not in self.living:
                self.kept.discard(fact.chunk)
            case Word.ASK_UNPIN:
                for holders in self.pins.values():
                    holders.discard(fact.holder)
            case Word.ASK_DISCARD:
                self.evidence.clear()

    def damaged(self, chunk: bytes, file: bytes) -> None:
        self.living.discard(chunk)
        self.kept.discard(chunk)
        self.pins.pop(chunk, None)
        self.evidence.append(file)

    def copy(self) -> "Owed":
        pins = {chunk: set(holders) for chunk, holders in self.pins.items()}
        doubtful = set(self.doubtful)
        return Owed(set(self.living), set(self.kept), doubtful, pins, list(self.evidence))

    def after(self, ops: Iterable[Op], files: Mapping[bytes, bytes]) -> "Owed":
        later = self.copy()
        for op in ops:
            if not isinstance(op, Mark) or not isinstance(op.fact, Fact):
                continue
            if op.fact.word is not Word.DAMAGED:
                later.hear(op.fact)
            elif op.fact.chunk in later.kept:
                later.damaged(op.fact.chunk, files[op.fact.chunk])
        return later

    def missing(self, verdict: Verdict, files: Mapping[bytes, bytes]) -> list[str]:
        """What of it a folder does not hold, judged by its bytes alone."""
        lost = [
            f"{chunk.hex()[:8]} was acknowledged and is not among the living"
            for chunk in self.living
            if verdict.living.get(chunk) != files[chunk]
        ]
        lost += [
            f"{chunk.hex()[:8]} was acknowledged and is gone"
            for chunk in self.kept
            if files[chunk] not in (verdict.living.get(chunk), verdict.trash.get(chunk))
        ]
        lost += [
            f"the pin of {holder} on {chunk.hex()[:8]} is not in the journal"
            for chunk, holders in self.pins.items()
            for holder in holders - verdict.pins.get(chunk, frozenset())
        ]
        return lost
