"""What the observers of each node say of it, and whether that is enough for a verdict."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from coordinator.settings import Settings
from coordinator.types import NodeId, Record, Status

VERDICT_VOTES_MIN = 2  # One alone never condemns: it may be the one who is cut off.
FEW_VOTES = 3
VOTE_S_MAX = 10.0  # A vote that is not repeated fades.
HEARD_S_MAX = 3.0  # A witness repeats itself with every vote that it contradicts.


@dataclass(frozen=True, slots=True)
class _Cast:
    kind: str
    at_s: float


@dataclass(slots=True)
class _Case:
    generation: int
    incarnation: int
    cast: dict[NodeId, _Cast] = field(default_factory=dict)
    few_since_s: float | None = None


@dataclass(slots=True)
class Votes:
    settings: Settings
    _cases: dict[NodeId, _Case] = field(default_factory=dict)

    def take(self, subject: Record, observer: NodeId, kind: str, now_s: float) -> None:
        case = self._cases.get(subject.node)
        if case is None and kind == "recovered":
            return  # Nobody accuses it.
        key = (subject.generation, subject.incarnation)
        if case is None or (case.generation, case.incarnation) < key:
            case = self._cases[subject.node] = _Case(*key)
        if (case.generation, case.incarnation) != key:
            return  # Of an older life of the subject.
        case.cast[observer] = _Cast(kind, now_s)
        if all(cast.kind == "recovered" for cast in case.cast.values()):
            del self._cases[subject.node]

    def drop(self, subject: NodeId) -> None:
        self._cases.pop(subject, None)

    def open_cases(self) -> list[NodeId]:
        return list(self._cases)

    def verdict(
        self,
        record: Record,
        observers: Collection[NodeId],
        live: Callable[[NodeId], bool],
        place: Callable[[NodeId], str],
        now_s: float,
    ) -> Status | None:
        """DEAD, DOWN, or None when what was said is not enough."""
        case = self._cases.get(record.node)
        if case is None or (case.generation, case.incarnation) != (
            record.generation,
            record.incarnation,
        ):
            return None
        said = {o: c for o, c in case.cast.items() if live(o) and now_s - c.at_s < VOTE_S_MAX}
        judges = {o for o in observers if live(o)} | set(said)
        silent = [o for o, c in said.items() if c.kind == "silent"]
        if len(silent) >= max(VERDICT_VOTES_MIN, len(judges) // 2 + 1):
            return Status.DEAD
        heard = any(c.kind == "recovered" and now_s - c.at_s < HEARD_S_MAX for c in said.values())
        places = set() if heard else {place(o) for o in silent}
        if self._few_for_long(case, places, len(silent), now_s):
            return Status.DEAD
        refused = sum(c.kind == "refused" for c in said.values())
        if refused >= min(2, len(judges)) and refused:
            return Status.DOWN
        return None

    def _few_for_long(self, case: _Case, places: set[str], count: int, now_s: float) -> bool:
        """The others may have died with the subject: three votes of two places, long enough.

        None of them may hear it: then the others live, and it takes a majority.
        """
        if count < FEW_VOTES or len(places) < 2:
            case.few_since_s = None
            return False
        if case.few_since_s is None:
            case.few_since_s = now_s
        return now_s - case.few_since_s >= self.settings.few_votes_s
