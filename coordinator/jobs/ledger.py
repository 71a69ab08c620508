"""The fold over a job's facts: what is listed, done and safe, and whether the sums agree.

The order in which facts arrive, and how often, changes nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from coordinator.jobs.facts import (
    Chunk,
    Fact,
    Page,
    Poisoned,
    Result,
    Safe,
    Shape,
    StepCount,
    TaskId,
)


@dataclass(frozen=True, slots=True)
class Totals:
    objects_listed: int = 0
    objects_ingested: int = 0
    objects_skipped: int = 0
    tasks: int = 0
    tasks_acked: int = 0
    tasks_safe: int = 0
    tasks_poisoned: int = 0
    chunks_acked: int = 0
    chunks_safe: int = 0
    bytes_listed: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    bytes_sealed: int = 0
    objects_taken: int = 0
    bytes_taken: int = 0
    bytes_reused: int = 0
    bytes_sent: int = 0
    steps: tuple[StepCount, ...] = ()


@dataclass(slots=True)
class Task:
    """One planned task and what is known of it."""

    shape: Shape
    results: dict[str, Result] = field(default_factory=dict)  # By id.
    safe: dict[str, Safe] = field(default_factory=dict)  # By the id of the result.
    poisoned: Poisoned | None = None

    @property
    def chosen(self) -> Result | None:
        """Of several results one counts, the same for everybody: a safe one, then the lowest id.

        It is final only in the job's outcome; until then a safe one may take its place.
        """
        safe = [result for result in self.safe if result in self.results]
        best = min(safe or self.results, default=None)
        return self.results[best] if best else None

    @property
    def acked(self) -> bool:
        return bool(self.results)

    @property
    def is_safe(self) -> bool:
        return any(result in self.results for result in self.safe)

    @property
    def over(self) -> bool:
        """Nothing is left to be done for it."""
        return self.is_safe or (self.poisoned is not None and not self.results)

    def chunks(self) -> tuple[Chunk, ...]:
        chosen = self.chosen
        if chosen is None:
            return ()
        safe = self.safe.get(chosen.id)
        return safe.chunks if safe else chosen.chunks


class Ledger:
    def __init__(self, facts: Iterable[Fact] = ()) -> None:
        self.pages: dict[int, Page] = {}
        self.tasks: dict[TaskId, Task] = {}
        self._open: dict[TaskId, Task] = {}  # Not over yet, in the order of the listing.
        self._early: dict[TaskId, list[Fact]] = {}  # Of tasks whose page has not come yet.
        self._next_page = 0
        for fact in facts:
            self.add(fact)

    def add(self, fact: Fact) -> bool:
        """False when it was known."""
        if isinstance(fact, Page):
            return self._page(fact)
        task = self.tasks.get(_about(fact))
        if task is None:
            early = self._early.setdefault(_about(fact), [])
            if fact in early:
                return False
            early.append(fact)
            return True
        known = len(task.results), len(task.safe), task.poisoned
        match fact:
            case Result():
                task.results.setdefault(fact.id, fact)
            case Safe():
                task.safe.setdefault(fact.result, fact)
            case Poisoned():
                task.poisoned = task.poisoned or fact
        self._sorted_out(task)
        return known != (len(task.results), len(task.safe), task.poisoned)

    def _sorted_out(self, task: Task) -> None:
        if task.over:
            self._open.pop(task.shape.id, None)
        else:
            self._open[task.shape.id] = task

    def _page(self, page: Page) -> bool:
        """Of two pages with one number that of the later steward counts: the other one reached
        no majority of keepers.
        """
        known = self.pages.get(page.number)
        if known is not None and known.epoch >= page.epoch:
            return False
        self.pages[page.number] = page
        shapes = {shape.id: shape for shape in page.tasks}
        for old in known.tasks if known else ():
            if old.id not in shapes:
                del self.tasks[old.id]
                self._open.pop(old.id, None)
        for shape in page.tasks:
            if shape.id not in self.tasks:
                self.tasks[shape.id] = self._open[shape.id] = Task(shape)
                for fact in self._early.pop(shape.id, []):
                    self.add(fact)
        return True

    @property
    def next_page(self) -> int:
        """The first page that is missing; pages before it are there without a gap."""
        while self._next_page in self.pages:
            self._next_page += 1
        return self._next_page

    @property
    def cursor(self) -> str:
        number = self.next_page
        return self.pages[number - 1].cursor if number else ""

    @property
    def listed(self) -> bool:
        number = self.next_page
        return number > 0 and self.pages[number - 1].last

    def open_tasks(self) -> Iterator[Task]:
        return iter(list(self._open.values()))

    @property
    def complete(self) -> bool:
        return self.listed and not self._open

    def totals(self) -> Totals:
        chosen = [(task, task.chosen) for task in self.tasks.values()]
        results = [result for _, result in chosen if result is not None]
        # Several tasks may take over of one chunk.
        chunks = {c.id: c for task in self.tasks.values() for c in task.chunks()}
        safe = {c.id for task in self.tasks.values() if task.is_safe for c in task.chunks()}
        poisoned = [t for t, result in chosen if result is None and t.poisoned is not None]
        skipped = {path for r in results for path in r.skipped}
        # An object is skipped as a whole: where it begins it was counted as taken in.
        cut_short = {path for r in results for path in r.cut_short} - skipped
        return Totals(
            objects_listed=sum(p.objects + len(p.skipped) for p in self.pages.values()),
            objects_ingested=sum(r.ingested for r in results) - len(cut_short),
            objects_skipped=len(skipped)
            + len(cut_short)
            + sum(len(page.skipped) for page in self.pages.values())
            + sum(t.poisoned.objects for t in poisoned if t.poisoned),
            tasks=len(self.tasks),
            tasks_acked=len(results),
            tasks_safe=sum(t.is_safe for t in self.tasks.values()),
            tasks_poisoned=len(poisoned),
            chunks_acked=len(chunks),
            chunks_safe=len(safe),
            bytes_listed=sum(page.bytes for page in self.pages.values()),
            bytes_in=sum(r.bytes_in for r in results),
            bytes_out=sum(r.bytes_out for r in results),
            bytes_sealed=sum(c.file_bytes for c in chunks.values()),
            objects_taken=sum(r.objects_taken for r in results),
            bytes_taken=sum(r.bytes_taken for r in results),
            bytes_reused=sum(r.bytes_reused for r in results),
            bytes_sent=sum(c.file_bytes for c in chunks.values() if not c.reused),
            steps=tuple(_steps(results)),
        )

    def edges(self) -> Mapping[tuple[str, str], int]:
        """Bytes over each border, those of results that do not count included: they were sent."""
        sums: dict[tuple[str, str], int] = {}
        for task in self.tasks.values():
            sent = [fact.edges for fact in task.results.values()]
            sent += [fact.edges for fact in task.safe.values()]
            for edges in sent:
                for edge, size in edges.items():
                    sums[edge] = sums.get(edge, 0) + size
        return sums


def _about(fact: Result | Safe | Poisoned) -> TaskId:
    return task_of(fact.result) if isinstance(fact, Safe) else fact.task


def task_of(result: str) -> TaskId:
    """`result/<task>/<worker>/<attempt>/<what it made>`"""
    return result.split("/")[1]


def _steps(results: Iterable[Result]) -> Iterator[StepCount]:
    sums: list[StepCount] = []
    for result in results:
        for place, count in enumerate(result.steps):
            if place == len(sums):
                sums.append(StepCount())
            sums[place] = sums[place] + count
    return iter(sums)


def disagreements(ledger: Ledger) -> list[str]:
    """Which sums of a complete job do not agree; empty when all do. Such a job is never done."""
    totals = ledger.totals()
    found = []
    accounted = totals.objects_ingested + totals.objects_skipped
    if totals.objects_listed != accounted:
        found.append(
            f"{totals.objects_listed} objects were listed, {totals.objects_ingested} ingested "
            f"and {totals.objects_skipped} skipped"
        )
    for place, step in enumerate(totals.steps, 1):
        left = step.records_out + step.filtered + step.dropped + step.quarantined
        if step.records_in != left and not step.remakes:
            found.append(f"step {place}: {step.records_in} records went in and {left} came out")
    decided = totals.tasks_safe + totals.tasks_poisoned
    if totals.tasks != decided:
        found.append(f"{totals.tasks} tasks were planned and {decided} are decided")
    return found
