"""What a node tells all others of copies: its figures, whenever they change, and not too often."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from multicloud.v1 import common_pb2
from nodeagent.upkeep.shortage import WHY_CHARS_MAX
from nodeagent.upkeep.upkeep import Upkeep

LOOK_EVERY_S = 0.5
NODES_A_SECOND = 40  # So many may have news within a second in a large cluster.
OLDER = 1.25  # By so much the age of what is oldest is news by itself.

Say = Callable[[Callable[[common_pb2.NodeFacts], None]], None]


@dataclass(slots=True)
class TellingCopies:
    upkeep: Upkeep
    nodes: Callable[[], int]
    say: Say

    async def run(self) -> None:
        """Until it is cancelled."""
        told = common_pb2.CopiesFacts()
        while True:
            facts = self.facts()
            if facts.debt_oldest_s <= told.debt_oldest_s * OLDER + 1 and facts.debt_chunks:
                facts.debt_oldest_s = min(facts.debt_oldest_s, told.debt_oldest_s)
            if facts != told:
                told = facts
                self.say(_said(facts))
            await asyncio.sleep(max(LOOK_EVERY_S, self.nodes() / NODES_A_SECOND))

    def facts(self) -> common_pb2.CopiesFacts:
        census = self.upkeep.census
        counted = census.counted()
        left = self.upkeep.leaving.left(counted)
        return common_pb2.CopiesFacts(
            chunks_by_copies=counted.by_copies,
            debt_chunks=counted.debt_chunks,
            debt_bytes=counted.debt_bytes,
            debt_oldest_s=int(counted.debt_oldest_s),
            basis=census.basis(),
            live_chunks=census.live_chunks,
            dropped=census.dropped,
            hindered=(self.upkeep.shortage.hindered or census.hindered)[:WHY_CHARS_MAX],
            leaving=None
            if left is None
            else common_pb2.LeavingFacts(
                chunks=left.chunks,
                bytes=left.file_bytes,
                proving=left.proving,
                done=left.done,
                waits=left.waits,
            ),
        )


def _said(facts: common_pb2.CopiesFacts) -> Callable[[common_pb2.NodeFacts], None]:
    return lambda own: own.copies.CopyFrom(facts)
