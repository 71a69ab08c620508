"""Three keepers of one ledger: facts survive crashes, plans of older epochs are refused."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from coordinator.jobs.facts import Fact, Page, Poisoned


@dataclass(slots=True)
class Keeper:
    facts: dict[str, Fact] = field(default_factory=dict)
    epoch: int = 0
    up: bool = True

    def append(self, fact: Fact) -> bool:
        if not self.up:
            return False
        if isinstance(fact, Page | Poisoned):
            if fact.epoch < self.epoch:
                return False
            known = self.facts.get(fact.id)
            if isinstance(known, Page | Poisoned) and known.epoch > fact.epoch:
                return True
            self.facts[fact.id] = fact
            return True
        self.facts.setdefault(fact.id, fact)
        return True

    def open_epoch(self, epoch: int) -> bool:
        if not self.up or epoch < self.epoch:
            return False
        self.epoch = epoch
        return True


@dataclass(slots=True)
class Keepers:
    rng: Random
    loss: float
    all: list[Keeper] = field(default_factory=lambda: [Keeper(), Keeper(), Keeper()])

    def append(self, fact: Fact) -> bool:
        """Whether a majority has it by now; what one keeper has stays there either way."""
        return sum(self._reached() and k.append(fact) for k in self.all) >= 2

    def opened(self, epoch: int) -> Iterable[Fact] | None:
        """A new steward: what a majority knows, and from now on no plan of an older one."""
        reached = [k for k in self.all if self._reached() and k.open_epoch(epoch)]
        if len(reached) < 2:
            return None
        known = [fact for keeper in reached for fact in keeper.facts.values()]
        return self.rng.sample(known, len(known))

    def _reached(self) -> bool:
        return self.rng.random() >= self.loss
