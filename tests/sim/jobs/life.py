"""One life of a job: a source that is listed in pages, workers that are slow, fail, die and come
back, stewards that die, freeze and go on as if nothing had happened. One seed is one life.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random

from coordinator.jobs.facts import Chunk, Copy, Fact, Page, Result, Safe, Shape, StepCount
from coordinator.jobs.ledger import Ledger, Totals
from coordinator.jobs.settings import StewardSettings
from coordinator.jobs.steward import (
    Action,
    GiveUp,
    ListNext,
    MakeSafe,
    Offer,
    Over,
    Steward,
    Withdraw,
)
from tests.sim.jobs.keepers import Keepers

TICK_S, PULL_S, TAKEOVER_S = 0.25, 0.5, 5.0
QUIET_S = 60.0  # Faults end here; the job has to end some time after.
END_S = 600.0


@dataclass(frozen=True, slots=True)
class Rules:
    steward: Callable[..., Steward] = Steward
    ledger: Callable[..., Ledger] = Ledger


@dataclass(slots=True)
class Running:
    """One steward that believes it is the one."""

    steward: Steward
    epoch: int
    alive: bool = True
    frozen_until_s: float = 0.0


class JobLife:
    def __init__(self, seed: int, rules: Rules = Rules()) -> None:
        self.rng = rng = Random(seed)
        self.rules = rules
        self.now_s = 0.0
        self.loss = rng.choice((0.0, 0.1, 0.3))
        self.keepers = Keepers(rng, self.loss)
        self.pages = [self._page(number) for number in range(rng.randint(1, 6))]
        self.poison = {s.id for p in self.pages for s in p if rng.random() < 0.03}
        self.workers = {f"w{i}": rng.uniform(0.2, 4.0) for i in range(rng.randint(2, 6))}
        self.down: set[str] = set()
        self.busy: dict[str, set[str]] = {name: set() for name in self.workers}
        self.stewards: list[Running] = []
        self.outcomes: list[tuple[Totals, set[str]]] = []  # The sums, and what was given up.
        self.wrong: tuple[str, ...] = ()
        self.reads = 0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def _page(self, number: int) -> tuple[Shape, ...]:
        """What the source holds there now; the tasks of an object share it."""
        sizes = [self.rng.randint(1, 100) for _ in range(self.rng.randint(0, 12))]
        return tuple(
            Shape(f"{number}.{place}.{size:02x}", size, self.rng.choice((0, 1, 1, 5)))
            for place, size in enumerate(sizes)
        )

    def run(self) -> list[str]:
        self._take_over()
        for name in self.workers:
            self.later(self.rng.random(), partial(self._pull, name))
        for _ in range(self.rng.randint(0, 8)):
            self.later(self.rng.uniform(0, QUIET_S), self._disturb)
        while self._heap and self.now_s < END_S and not self._settled():
            self.now_s, _, work = heapq.heappop(self._heap)
            work()
        return self._judged()

    def _settled(self) -> bool:
        return bool(self.outcomes) and self.now_s > QUIET_S

    def _judged(self) -> list[str]:
        if not self.outcomes:
            ran = self.stewards[-1].steward
            return [
                f"the job did not end: {ran.waits(self.now_s)} {list(ran.ledger.open_tasks())[:2]}"
            ]
        totals, given_up = self.outcomes[0]
        expected = sum(shape.objects for page in self.pages for shape in page)
        tasks = sum(len(page) for page in self.pages)
        found = list(self.wrong)
        if totals.objects_listed != expected or totals.tasks != tasks:
            found.append(f"{expected} objects in {tasks} tasks exist; the outcome has {totals}")
        if totals.objects_ingested + totals.objects_skipped != expected:
            found.append(f"of {expected} objects {totals.objects_ingested} were ingested")
        read = totals.steps[0].records_in if totals.steps else 0
        whole = sum(s.bytes for p in self.pages for s in p if s.id not in given_up)
        if read != whole:
            found.append(f"{whole} records exist and {read} were taken in")
        return found

    def later(self, in_s: float, work: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (self.now_s + in_s, self._count, work))

    # --- stewards

    def _take_over(self) -> None:
        epoch = len(self.stewards) + 1
        facts = self.keepers.opened(epoch)
        if facts is None:
            self.later(1.0, self._take_over)
            return
        steward = self.rules.steward(self.rules.ledger(facts), epoch, StewardSettings(), self.rng)
        running = Running(steward, epoch)
        self.stewards.append(running)
        pages = list(steward.ledger.pages.values())
        for page in pages:  # What it saw is made known under its own epoch, before it goes on.
            adopted = Page(page.number, page.cursor, page.last, page.tasks, page.objects,
                           page.bytes, epoch)  # fmt: skip
            self._write(adopted, lambda: None)
        self._beat(running)

    def _beat(self, running: Running) -> None:
        if not running.alive:
            return
        if self.now_s >= running.frozen_until_s:
            for action in running.steward.tick(self.now_s):
                self._do(running, action)
        self.later(TICK_S, partial(self._beat, running))

    def _do(self, running: Running, action: Action) -> None:
        match action:
            case ListNext():
                self.later(self.rng.expovariate(2.0), partial(self._listed, running, action))
            case Offer():
                self.later(self.rng.expovariate(20.0), partial(self._works, running, action))
            case MakeSafe(result=result):
                self.later(self.rng.expovariate(1.0), partial(self._made_safe, result))
            case GiveUp(poisoned=poisoned):
                self._write(poisoned, lambda: self._tell(poisoned), tries=3)
            case Over(wrong=wrong):
                self.later(self.rng.expovariate(5.0), partial(self._decided, running, wrong))
            case Withdraw():
                pass  # A worker that does not hear it works in vain, which harms nobody.

    def _listed(self, running: Running, asked: ListNext) -> None:
        if not running.alive or self.rng.random() < self.loss:
            running.steward.relist()
            return
        tasks = self.pages[asked.page]
        page = Page(
            asked.page,
            f"after {asked.page}",
            asked.page == len(self.pages) - 1,
            tasks,
            sum(shape.objects for shape in tasks),
            sum(shape.bytes for shape in tasks),
            running.epoch,
        )
        self._write(page, lambda: self._tell(page), tries=3, otherwise=running.steward.relist)

    def _decided(self, running: Running, wrong: tuple[str, ...]) -> None:
        """A compare-and-set on the job's header, which names the newest steward."""
        if running is self.stewards[-1] and not self.outcomes:
            ledger = running.steward.ledger
            lost = {t.shape.id for t in ledger.tasks.values() if t.poisoned and not t.chosen}
            self.outcomes.append((ledger.totals(), lost))
            self.wrong = wrong

    # --- workers

    def _pull(self, name: str) -> None:
        if name not in self.down and self.stewards:
            newest = self.stewards[-1]
            if newest.alive and self.now_s >= newest.frozen_until_s:
                busy = self.busy[name]
                newest.steward.pulls(name, max(0, 2 - len(busy)), set(busy), self.now_s)
        self.later(PULL_S, partial(self._pull, name))

    def _works(self, running: Running, offer: Offer) -> None:
        if offer.worker in self.down:
            return
        took_s = self.rng.expovariate(1 / self.workers[offer.worker])
        self.reads += 1
        self.busy[offer.worker].add(offer.task)
        fails = offer.task in self.poison or self.rng.random() < 0.1
        work = self._fails if fails else self._acked
        self.later(took_s, partial(work, running, offer))

    def _fails(self, running: Running, offer: Offer) -> None:
        self.busy[offer.worker].discard(offer.task)
        if offer.worker not in self.down and running.alive:
            running.steward.failed(offer.worker, offer.task, "it did not work", self.now_s)

    def _acked(self, running: Running, offer: Offer) -> None:
        self.busy[offer.worker].discard(offer.task)
        if offer.worker in self.down:
            return
        number, place = map(int, offer.task.split(".")[:2])
        shape = self.pages[number][place]
        name = f"{offer.task}/{offer.worker}/{running.epoch}.{offer.attempt}"
        chunk = Chunk(name.encode(), shape.bytes, (Copy("a", "v"), Copy("b", "v")))
        steps = (StepCount(shape.bytes, shape.bytes),)
        attempt = running.epoch * 1000 + offer.attempt
        result = Result(offer.task, offer.worker, attempt, (chunk,), shape.objects, {}, steps)
        self._write(result, lambda: self._tell(result))
        if self.rng.random() < 0.9:
            self.later(self.rng.expovariate(2.0), partial(self._made_safe, result))

    def _made_safe(self, result: Result) -> None:
        if result.worker in self.down and self.rng.random() < 0.5:
            return
        safe = Safe(result.id, result.chunks)
        self._write(safe, lambda: self._tell(safe))

    # --- facts

    def _write(
        self,
        fact: Fact,
        then: Callable[[], None],
        tries: int = 40,
        otherwise: Callable[[], None] = lambda: None,
    ) -> None:
        """Until a majority has it; whoever writes may die before."""
        if self.keepers.append(fact):
            self.later(self.rng.expovariate(20.0), then)
        elif tries > 1:
            self.later(0.3, partial(self._write, fact, then, tries - 1, otherwise))
        else:
            otherwise()

    def _tell(self, fact: Fact) -> None:
        for running in self.stewards:
            if running.alive and self.rng.random() >= self.loss / 3:
                for action in running.steward.learned(fact, self.now_s):
                    self._do(running, action)
            elif running.alive:
                self.later(0.5, partial(self._tell_one, running, fact))

    def _tell_one(self, running: Running, fact: Fact) -> None:
        for action in running.steward.learned(fact, self.now_s):
            self._do(running, action)

    # --- faults

    def _disturb(self) -> None:
        what = self.rng.random()
        if what < 0.5:
            name = self.rng.choice(list(self.workers))
            self.down.add(name)
            self.busy[name].clear()
            self.later(self.rng.uniform(1, 30), partial(self.down.discard, name))
        elif what < 0.7:
            keeper = self.rng.choice(self.keepers.all)
            if all(k.up for k in self.keepers.all):
                keeper.up = False
                self.later(self.rng.uniform(1, 20), lambda: setattr(keeper, "up", True))
        elif self.stewards:
            running = self.stewards[-1]
            if self.rng.random() < 0.5:
                running.alive = False
            else:  # It wakes later and does not know that another has its place.
                running.frozen_until_s = self.now_s + self.rng.uniform(5, 30)
            self.later(TAKEOVER_S, self._take_over)
