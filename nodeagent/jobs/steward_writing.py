"""How a steward writes: its plans to a majority of the keepers, however long that takes, and what
others brought to few keepers only.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from multicloud.errors import McError
from multicloud.v1 import task_pb2
from nodeagent.jobs.keepers import Keepers
from nodeagent.jobs.steward_learning import Learning

AGAIN_S = 1.0


@dataclass(slots=True)
class Writing:
    keepers: Keepers
    learning: Learning
    epoch: int
    learn: Callable[[task_pb2.Fact], bool]
    trouble: str = ""  # Why it cannot write.

    async def persist(self, facts: list[task_pb2.Fact]) -> None:
        """Returns when a majority has them; SUPERSEDED when another steward has the job."""
        while True:
            try:
                await self.keepers.append(facts, epoch=self.epoch)
            except McError as error:
                if error.reason == "SUPERSEDED":
                    raise
                self.trouble = error.message
                await asyncio.sleep(AGAIN_S)
                continue
            self.trouble = ""
            return

    async def adopt(self) -> None:
        """Everything that this steward saw is on a majority: whoever comes next sees it too."""
        while facts := self.learning.due(0.0, after_s=float("-inf")):
            await self._spread(facts)

    async def bring_to_majority(self) -> None:
        """Until it is cancelled: what its writer did not live to bring there."""
        while True:
            await asyncio.sleep(AGAIN_S)
            facts = self.learning.due(asyncio.get_running_loop().time())
            if facts:
                await self._spread(facts)

    async def _spread(self, facts: list[task_pb2.Fact]) -> None:
        await self.persist(self.under_this_epoch(facts))
        self.learning.spread(facts)

    def under_this_epoch(self, facts: list[task_pb2.Fact]) -> list[task_pb2.Fact]:
        """Plans of earlier stewards become this one's: keepers take no others."""
        found = []
        for fact in facts:
            if fact.epoch and fact.epoch != self.epoch:
                adopted = task_pb2.Fact()
                adopted.CopyFrom(fact)
                adopted.epoch = self.epoch
                self.learn(adopted)
                found.append(adopted)
            else:
                found.append(fact)
        return found
