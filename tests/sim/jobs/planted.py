"""Bugs that lose records, count them twice or leave a job without an end, planted one by one."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from coordinator.jobs.facts import Fact, Poisoned, Result, TaskId
from coordinator.jobs.ledger import Ledger, Totals
from coordinator.jobs.steward import Action, GiveUp, Steward
from coordinator.types import NodeId
from tests.sim.jobs.life import Rules


class CountsEveryResult(Ledger):
    """A task that was done twice counts twice."""

    def totals(self) -> Totals:
        found = super().totals()
        every = [r for task in self.tasks.values() for r in task.results.values()]
        return replace(found, objects_ingested=sum(r.ingested for r in every))


class SafeWithoutItsResult(Ledger):
    """A task is over when somebody says that a result is safe, known or not."""

    def add(self, fact: Fact) -> bool:
        known = super().add(fact)
        for task in list(self._open.values()):
            if task.safe:
                self._open.pop(task.shape.id)
        return known


class NeverTakesBack(Steward):
    """A task that a worker has forgotten stays with it."""

    def pulls(self, node: NodeId, slots: int, running: Collection[TaskId], now_s: float) -> None:
        known = self.workers.get(node)
        super().pulls(node, slots, (*running, *(known.running if known else ())), now_s)


class NeverListsAgain(Steward):
    def relist(self) -> None:
        pass


class LeavesSafetyToTheWorker(Steward):
    def _unsafe(self, now_s: float) -> Iterator[Action]:
        return iter(())


class GivesUpAtOnce(Steward):
    """The first failure is the last, for a task that another worker is at, too."""

    def failed(self, node: NodeId, task: TaskId, why: str, now_s: float) -> None:
        super().failed(node, task, why, now_s)
        found = self.ledger.tasks.get(task)
        if found:
            self.ledger.add(Poisoned(task, why, 0, self.epoch))


class DoneWhenAcked(Steward):
    """The source is told that it is done before every chunk is safe."""

    def learned(self, fact: Fact, now_s: float) -> list[Action]:
        actions = super().learned(fact, now_s)
        if isinstance(fact, Result):
            self.ledger._open.pop(fact.task, None)
        return actions


class ForgetsWhoFailed(Steward):
    """Nothing is ever given up."""

    def _giving_up(self) -> Iterator[GiveUp]:
        return iter(())


PLANTED: Mapping[str, Rules] = {
    "every result counts": Rules(ledger=CountsEveryResult),
    "safe without its result": Rules(ledger=SafeWithoutItsResult),
    "nothing is taken back": Rules(steward=NeverTakesBack),
    "a lost listing is not asked again": Rules(steward=NeverListsAgain),
    "safety is left to the worker": Rules(steward=LeavesSafetyToTheWorker),
    "given up at once": Rules(steward=GivesUpAtOnce),
    "done when acked": Rules(steward=DoneWhenAcked),
    "nothing is given up": Rules(steward=ForgetsWhoFailed),
}
