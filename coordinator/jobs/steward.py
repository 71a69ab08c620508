"""The steward's decisions for one job: what is listed next, which worker gets which task, what is
tried again, what is given up, when the job is over. Clock and chance are arguments; a new steward
that folds the same facts goes on where the old one stopped.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from random import Random
from statistics import median

from coordinator.jobs.facts import Fact, Page, Poisoned, Result, Safe, TaskId
from coordinator.jobs.ledger import Ledger, Task, disagreements
from coordinator.jobs.settings import StewardSettings
from coordinator.types import NodeId

DURATIONS_KEPT = 256


@dataclass(frozen=True, slots=True)
class ListNext:
    """Ask the source for the page after this cursor."""

    page: int
    cursor: str


@dataclass(frozen=True, slots=True)
class Offer:
    worker: NodeId
    task: TaskId
    attempt: int


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Another worker has done it."""

    worker: NodeId
    task: TaskId


@dataclass(frozen=True, slots=True)
class MakeSafe:
    """Acked, and nobody is on the way to make it safe any more: a holder is to push it."""

    result: Result


@dataclass(frozen=True, slots=True)
class GiveUp:
    """To be written as a fact."""

    poisoned: Poisoned


@dataclass(frozen=True, slots=True)
class Over:
    """Every task is decided. `wrong` says which sums do not agree: then the job has failed."""

    wrong: tuple[str, ...]


Action = ListNext | Offer | Withdraw | MakeSafe | GiveUp | Over


@dataclass(slots=True)
class Worker:
    """Somebody who pulls. `near`: what a task costs it, by whatever measure; least first."""

    node: NodeId
    slots: int = 0
    heard_s: float = 0.0
    running: dict[TaskId, float] = field(default_factory=dict)  # Since when.


@dataclass(slots=True)
class Trial:
    """What was tried with a task by this steward."""

    attempts: int = 0
    failed_on: dict[NodeId, str] = field(default_factory=dict)
    not_before_s: float = 0.0
    asked_safe_s: float = -1e9


class Steward:
    def __init__(
        self,
        ledger: Ledger,
        epoch: int,
        settings: StewardSettings,
        rng: Random,
        cost: Callable[[NodeId, TaskId], float] = lambda _worker, _task: 0.0,
    ) -> None:
        self.ledger, self.epoch, self.settings = ledger, epoch, settings
        self.workers: dict[NodeId, Worker] = {}
        self.paused = False
        self.source_away = ""  # Why the source cannot be read, when it cannot.
        self._rng, self._cost = rng, cost
        self._trials: dict[TaskId, Trial] = {}
        self._listing_page = -1
        self._durations_s: list[float] = []
        self._over = False

    # --- what happens

    def learned(self, fact: Fact, now_s: float) -> list[Action]:
        """A fact is on a majority of the keepers."""
        if not self.ledger.add(fact):
            return []
        match fact:
            case Page():
                self._listing_page = -1
            case Result():
                return self._is_acked(fact, now_s)
            case Safe() | Poisoned():
                pass
        return []

    def pulls(self, node: NodeId, slots: int, running: Collection[TaskId], now_s: float) -> None:
        """A worker lives, runs these tasks, and has room for so many more. What it should run and
        does not know was lost on the way, or with the worker's last life.
        """
        worker = self.workers.setdefault(node, Worker(node))
        worker.slots, worker.heard_s = slots, now_s
        on_the_way_s = self.settings.offer_s
        for task, since_s in list(worker.running.items()):
            if task not in running and now_s - since_s > on_the_way_s:
                self._returned(node, task)

    def failed(self, node: NodeId, task: TaskId, why: str, now_s: float) -> None:
        """A worker could not do it. It is tried elsewhere, later."""
        self._returned(node, task)
        trial = self._trials.setdefault(task, Trial())
        trial.failed_on[node] = why
        doubled_s = self.settings.retry_s * 2 ** min(16, trial.attempts)
        trial.not_before_s = now_s + self._rng.uniform(0, min(doubled_s, self.settings.retry_s_max))

    def postponed(self, node: NodeId, task: TaskId) -> None:
        """It could not even be tried, and that is nobody's fault: no attempt is counted."""
        self._returned(node, task)
        trial = self._trials.setdefault(task, Trial())
        trial.attempts = max(0, trial.attempts - 1)

    def on_the_way(self, node: NodeId, running: Collection[TaskId]) -> int:
        """Tasks that were offered and that the worker does not name yet."""
        worker = self.workers.get(node)
        return len(set(worker.running) - set(running)) if worker else 0

    def gone(self, node: NodeId) -> None:
        """A worker left or is silent: what it ran goes to others at once."""
        worker = self.workers.pop(node, None)
        for task in worker.running if worker else ():
            self._trials.setdefault(task, Trial()).failed_on.setdefault(node, "its worker is gone")

    def tick(self, now_s: float) -> list[Action]:
        """Everything that is due."""
        for node in [w.node for w in self.workers.values() if self._silent(w, now_s)]:
            self.gone(node)
        actions = [*self._listing(), *self._giving_up(), *self._unsafe(now_s)]
        if not self.paused and not self.source_away:
            actions += self._offers(now_s)
        if self.ledger.complete and not self._over:
            self._over = True
            actions.append(Over(tuple(disagreements(self.ledger))))
        return actions

    # --- what follows

    def _listing(self) -> Iterator[Action]:
        page = self.ledger.next_page
        waiting = sum(not self._running_on(task.shape.id) for task in self.ledger.open_tasks())
        enough = waiting >= self.settings.ahead_tasks
        if self.ledger.listed or self.paused or self.source_away or enough:
            return
        if self._listing_page != page:
            self._listing_page = page
            yield ListNext(page, self.ledger.cursor)

    def relist(self) -> None:
        """The last listing came to nothing; the next tick asks again."""
        self._listing_page = -1

    def _is_acked(self, result: Result, now_s: float) -> list[Action]:
        actions: list[Action] = []
        for worker in self.workers.values():
            began_s = worker.running.pop(result.task, None)
            if began_s is None:
                continue
            if worker.node == result.worker:
                self._durations_s = [*self._durations_s, now_s - began_s][-DURATIONS_KEPT:]
                self._trial(result.task).asked_safe_s = now_s  # It goes on to R by itself.
            else:
                actions.append(Withdraw(worker.node, result.task))
        return actions

    def _giving_up(self) -> Iterator[Action]:
        for task in self.ledger.open_tasks():
            trial = self._trials.get(task.shape.id)
            if task.acked or trial is None or self._running_on(task.shape.id):
                continue
            others = set(self._readers(task.shape.id)) - set(trial.failed_on)
            if trial.attempts >= self.settings.attempts_max and (
                len(trial.failed_on) > 1 or not others
            ):
                why = list(trial.failed_on.values())[-1]
                yield GiveUp(Poisoned(task.shape.id, why, task.shape.objects, self.epoch))

    def _unsafe(self, now_s: float) -> Iterator[Action]:
        """Acked by a worker that is gone, or that does not get on with it."""
        for task in self.ledger.open_tasks():
            chosen = task.chosen
            if chosen is None:
                continue
            trial = self._trial(task.shape.id)
            alone = chosen.worker not in self.workers
            patience_s = self.settings.retry_s_max / (4 if alone else 1)
            if now_s - trial.asked_safe_s >= patience_s:
                trial.asked_safe_s = now_s
                yield MakeSafe(chosen)

    def _offers(self, now_s: float) -> Iterator[Action]:
        """Round by round one task for each worker with room, the least loaded first."""
        waiting = [task for task in self.ledger.open_tasks() if self._free(task, now_s)]
        while True:
            with_room = [w for w in self.workers.values() if w.slots > 0]
            given = 0
            for worker in sorted(with_room, key=lambda w: (len(w.running), w.node)):
                task = self._best(worker, waiting) or self._straggler(worker, now_s)
                if task is None:
                    continue
                if task in waiting:
                    waiting.remove(task)
                given += 1
                yield self._given(worker, task, now_s)
            if not given:
                return

    def _given(self, worker: Worker, task: Task, now_s: float) -> Offer:
        worker.slots -= 1
        worker.running[task.shape.id] = now_s
        trial = self._trial(task.shape.id)
        trial.attempts += 1
        return Offer(worker.node, task.shape.id, trial.attempts)

    def _free(self, task: Task, now_s: float) -> bool:
        if task.acked or task.poisoned or self._running_on(task.shape.id):
            return False
        trial = self._trials.get(task.shape.id)
        return trial is None or now_s >= trial.not_before_s

    def _best(self, worker: Worker, waiting: list[Task]) -> Task | None:
        """The nearest of the next few, so that order stays roughly that of the listing."""
        window = [t for t in waiting[: self.settings.ahead_tasks] if self._may(worker, t)]
        return min(window, key=lambda t: self._cost(worker.node, t.shape.id), default=None)

    def _may(self, worker: Worker, task: Task) -> bool:
        """Not where it failed, unless it failed everywhere; nowhere that is not to read it."""
        if self._cost(worker.node, task.shape.id) == inf:
            return False
        trial = self._trials.get(task.shape.id)
        if trial is None or worker.node not in trial.failed_on:
            return True
        return all(node in trial.failed_on for node in self._readers(task.shape.id))

    def _readers(self, task: TaskId) -> list[NodeId]:
        """Workers that are to read what it reads: what it costs them is finite."""
        return [node for node in self.workers if self._cost(node, task) < inf]

    def _straggler(self, worker: Worker, now_s: float) -> Task | None:
        """Near the end, what runs longest is given to a second worker."""
        if not self.ledger.listed or not self._durations_s:
            return None
        least_s = median(self._durations_s) * self.settings.double_after
        least_s = max(least_s, self.settings.double_s_min)
        slow = [
            (began_s, task)
            for other in self.workers.values()
            if other is not worker
            for task, began_s in other.running.items()
            if now_s - began_s >= least_s
            and task not in worker.running
            and len(self._running_on(task)) == 1
            and self._cost(worker.node, task) < inf
        ]
        return self.ledger.tasks.get(min(slow)[1]) if slow else None

    # --- what is asked

    def waits(self, now_s: float) -> list[str]:
        """Every reason for which work stands still, in plain words; empty when it goes on."""
        reasons = []
        if self.paused:
            reasons.append("the job is paused")
        if self.source_away:
            reasons.append(f"the source cannot be read: {self.source_away}")
        if not self.workers:
            reasons.append("no worker asks for tasks")
        waiting = next((task for task in self.ledger.open_tasks() if not task.acked), None)
        if self.workers and waiting and not self._readers(waiting.shape.id):
            reasons.append("no worker can read the source")
        later = [
            trial.not_before_s - now_s
            for task, trial in self._trials.items()
            if trial.not_before_s > now_s and task in self.ledger.tasks
        ]
        if later and not any(worker.running for worker in self.workers.values()):
            reasons.append(f"{len(later)} tasks are tried again in {min(later):.1f} s")
        return reasons

    def running(self) -> Mapping[NodeId, int]:
        return {worker.node: len(worker.running) for worker in self.workers.values()}

    def _running_on(self, task: TaskId) -> list[NodeId]:
        return [worker.node for worker in self.workers.values() if task in worker.running]

    def _trial(self, task: TaskId) -> Trial:
        return self._trials.setdefault(task, Trial())

    def _returned(self, node: NodeId, task: TaskId) -> None:
        worker = self.workers.get(node)
        if worker:
            worker.running.pop(task, None)

    def _silent(self, worker: Worker, now_s: float) -> bool:
        return now_s - worker.heard_s > self.settings.worker_silent_s
