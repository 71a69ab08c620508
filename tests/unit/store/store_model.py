"""What a store must be seen to do, in a page: the model that real stores are compared with."""

from dataclasses import dataclass, field

FRESH_S = 24 * 3600.0


@dataclass
class Copy:
    checked_s: float
    good: bool = True


@dataclass
class Model:
    """Answers as the store's; chunks are numbers. A typed refusal is its reason."""

    now_s: float
    living: dict[int, Copy] = field(default_factory=dict)
    trash: dict[int, Copy] = field(default_factory=dict)
    evidence: list[int] = field(default_factory=list)
    told: list[int] = field(default_factory=list)
    pins: dict[tuple[int, str], float] = field(default_factory=dict)

    def put(self, chunk: int, holder: str | None, until_s: float) -> str:
        already = chunk in self.living and self._fresh(self.living[chunk])
        if not already:
            self.trash.pop(chunk, None)
            self.living[chunk] = Copy(self.now_s)
        if holder is not None:
            self._pin(chunk, holder, until_s)
        return "already" if already else "new"

    def read(self, chunk: int) -> str:
        self._revive(chunk)
        if chunk not in self.living:
            return "NOT_FOUND"
        return "read" if self._good(chunk) else "DAMAGE"

    def verify(self, chunk: int) -> str:
        answer = self.read(chunk)
        if answer == "read":
            self.living[chunk].checked_s = self.now_s
        return answer

    def have(self, chunks: list[int], holder: str, until_s: float) -> list[int]:
        found = []
        for chunk in chunks:
            self._revive(chunk)
            if chunk not in self.living:
                continue
            if not self._fresh(self.living[chunk]) and self.verify(chunk) != "read":
                continue
            self._pin(chunk, holder, until_s)
            found.append(chunk)
        return found

    def unpin(self, holder: str) -> None:
        self.pins = {key: until_s for key, until_s in self.pins.items() if key[1] != holder}

    def trash_it(self, chunk: int) -> str:
        if chunk in self.trash:
            return "True"
        if chunk not in self.living:
            return "NOT_FOUND"
        if self.holders(chunk):
            return "False"
        self.trash[chunk] = self.living.pop(chunk)
        return "True"

    def revive(self, chunk: int) -> str:
        self._revive(chunk)
        return "revived" if chunk in self.living else "NOT_FOUND"

    def purge(self, chunk: int) -> str:
        if chunk not in self.trash:
            return "0"
        if self.holders(chunk):
            return "PINNED"
        del self.trash[chunk]
        return "freed"

    def holders(self, chunk: int) -> set[str]:
        held = self.pins.items()
        return {
            holder
            for (pinned, holder), until_s in held
            if pinned == chunk and (not until_s or until_s > self.now_s)
        }

    def _revive(self, chunk: int) -> None:
        if chunk not in self.living and chunk in self.trash:
            self.living[chunk] = self.trash.pop(chunk)

    def _good(self, chunk: int) -> bool:
        if self.living[chunk].good:
            return True
        del self.living[chunk]
        self.evidence.append(chunk)
        self.told.append(chunk)
        return False

    def _fresh(self, copy: Copy) -> bool:
        return self.now_s - copy.checked_s < FRESH_S

    def _pin(self, chunk: int, holder: str, until_s: float) -> None:
        before = self.pins.get((chunk, holder))
        forever = not until_s or before == 0
        self.pins[chunk, holder] = 0 if forever else max(before or 0.0, until_s)
