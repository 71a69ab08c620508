"""What one volume holds, in memory: the living in order, trash, evidence, and what is foreign.

One thread changes it, any may read it. Oldest checks come first without a search.
"""

import heapq
from bisect import bisect_right, insort
from dataclasses import dataclass, replace
from threading import RLock

from nodeagent.store.contract import Evidence, Held

FOREIGN_NAMED_MAX = 3


@dataclass(frozen=True, slots=True)
class Binned:
    """A chunk in the trash, and the name of its file there."""

    held: Held
    name: str
    trashed_unix_s: float
    why: str


class Table:
    def __init__(self) -> None:
        self._lock = RLock()
        self._living: dict[bytes, Held] = {}
        self._order: list[bytes] = []
        self._checks: list[tuple[float, bytes]] = []  # A heap; what is outdated is skipped.
        self._trash: dict[bytes, Binned] = {}
        self._evidence: dict[str, Evidence] = {}
        self._foreign: dict[str, str] = {}  # By path: what is wrong with it. Left where it is.
        self.bytes_living = 0
        self.bytes_trash = 0

    def living(self, chunk_id: bytes) -> Held | None:
        return self._living.get(chunk_id)

    def fill(self, every: list[Held]) -> None:
        """At the start: all of the living at once."""
        with self._lock:
            self._living = {held.chunk_id: held for held in every}
            self._order = sorted(self._living)
            self._checks = [(held.verified_unix_s, held.chunk_id) for held in every]
            heapq.heapify(self._checks)
            self.bytes_living = sum(held.file_bytes for held in every)

    def enter(self, held: Held) -> None:
        """Among the living, in place of what was there under its id."""
        with self._lock:
            before = self._living.get(held.chunk_id)
            if before is None:
                insort(self._order, held.chunk_id)
            self.bytes_living += held.file_bytes - (before.file_bytes if before else 0)
            self._living[held.chunk_id] = held
            heapq.heappush(self._checks, (held.verified_unix_s, held.chunk_id))

    def leave(self, chunk_id: bytes) -> Held | None:
        with self._lock:
            held = self._living.pop(chunk_id, None)
            if held is not None:
                del self._order[bisect_right(self._order, chunk_id) - 1]
                self.bytes_living -= held.file_bytes
            return held

    def checked(self, held: Held, now_unix_s: float) -> Held:
        """It was read and is good; unless it was replaced or left meanwhile."""
        with self._lock:
            here = self._living.get(held.chunk_id)
            if here is None:
                return held
            now = replace(here, verified_unix_s=now_unix_s)
            self.enter(now)
            return now

    def after(self, chunk_id: bytes, count: int) -> list[Held]:
        with self._lock:
            start = bisect_right(self._order, chunk_id)
            return [self._living[one] for one in self._order[start : start + count]]

    def stalest(self, count: int) -> list[Held]:
        with self._lock:
            found: list[Held] = []
            while len(found) < count and self._oldest() is not None:
                _, chunk_id = heapq.heappop(self._checks)
                if not found or found[-1].chunk_id != chunk_id:
                    found.append(self._living[chunk_id])
            for held in found:
                heapq.heappush(self._checks, (held.verified_unix_s, held.chunk_id))
            return found

    @property
    def oldest_check_unix_s(self) -> float | None:
        with self._lock:
            return self._oldest()

    def _oldest(self) -> float | None:
        while self._checks:
            checked, chunk_id = self._checks[0]
            held = self._living.get(chunk_id)
            if held is not None and held.verified_unix_s == checked:
                return checked
            heapq.heappop(self._checks)
        return None

    def __len__(self) -> int:
        return len(self._living)

    # --- aside ---

    def binned(self, chunk_id: bytes) -> Binned | None:
        return self._trash.get(chunk_id)

    def bin(self, binned: Binned) -> None:
        with self._lock:
            self.unbin(binned.held.chunk_id)
            self._trash[binned.held.chunk_id] = binned
            self.bytes_trash += binned.held.file_bytes

    def unbin(self, chunk_id: bytes) -> Binned | None:
        with self._lock:
            binned = self._trash.pop(chunk_id, None)
            if binned is not None:
                self.bytes_trash -= binned.held.file_bytes
            return binned

    def trash(self) -> list[Binned]:
        with self._lock:
            return list(self._trash.values())

    def keep(self, evidence: Evidence) -> None:
        with self._lock:
            self._evidence[evidence.name] = evidence

    def drop(self, name: str) -> Evidence | None:
        with self._lock:
            return self._evidence.pop(name, None)

    def evidence(self) -> list[Evidence]:
        with self._lock:
            return list(self._evidence.values())

    # --- what is no chunk ---

    def mark_foreign(self, path: str, what: str) -> None:
        with self._lock:
            self._foreign[path] = what

    def clear_foreign(self, path: str) -> None:
        with self._lock:
            self._foreign.pop(path, None)

    def is_foreign(self, path: str) -> bool:
        return path in self._foreign

    def foreign_words(self) -> str:
        """For people: how many, and the first few by name."""
        with self._lock:
            named = [f"{path} ({what})" for path, what in self._foreign.items()]
        if not named:
            return ""
        more = len(named) - FOREIGN_NAMED_MAX
        rest = f" and {more} more" if more > 0 else ""
        return f"{len(named)} that can be no chunk: {', '.join(named[:FOREIGN_NAMED_MAX])}{rest}"
