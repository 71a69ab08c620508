"""How a steward learns: it opens its epoch at every keeper and follows what each has on disk.

A keeper that was away is let in again when it comes back. What only some keepers have is brought
to a majority, so that whoever is steward next sees it too.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import grpc

from multicloud.errors import McError, Retry
from multicloud.status import decode
from multicloud.v1 import task_pb2, task_pb2_grpc
from nodeagent.core.backoff import delay_s
from nodeagent.jobs.keepers import CALL_S, Keepers

AGAIN_BASE_S, AGAIN_S_MAX = 0.1, 2.0
SPREAD_AFTER_S = 3.0  # Whoever wrote a fact brings it to all by itself, if it lives.
WAIT_S = 10.0
FACTS_AT_ONCE = 256


@dataclass(slots=True)
class Spreading:
    """A fact that is not on a majority yet."""

    fact: task_pb2.Fact
    nodes: set[str]
    since_s: float


@dataclass(slots=True)
class Learning:
    keepers: Keepers
    epoch: int
    learn: Callable[[task_pb2.Fact], bool]  # False: it was known.
    lost: Callable[[str], bool]  # That keeper has lost its disk since it was chosen.
    caught_up: set[str] = field(default_factory=set)
    failures: dict[str, McError] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _spreading: dict[str, Spreading] = field(default_factory=dict)

    async def run(self) -> None:
        """Until it is cancelled; SUPERSEDED when a keeper knows of a later steward."""
        async with asyncio.TaskGroup() as group:
            for node in self.keepers.nodes:
                group.create_task(self._with(node))

    async def majority(self) -> None:
        """Returns when a majority of the keepers has told everything and takes older plans no
        more.
        """
        while len(self.caught_up) < self.keepers.majority:
            self.changed.clear()
            await self.changed.wait()

    @property
    def trouble(self) -> str:
        """Why the ledger cannot be written; empty when it can."""
        reached = len(self.caught_up)
        if reached >= self.keepers.majority:
            return ""
        why = "; ".join(f"{node}: {e.message}" for node, e in sorted(self.failures.items()))
        return (
            f"{reached} of {len(self.keepers.nodes)} keepers are reached, "
            f"{self.keepers.majority} are needed ({why or 'no answer yet'})"
        )

    def due(self, now_s: float, after_s: float = SPREAD_AFTER_S) -> list[task_pb2.Fact]:
        """Facts that nobody brings to a majority any more."""
        found = [s for s in self._spreading.values() if now_s - s.since_s >= after_s]
        return [s.fact for s in found[:FACTS_AT_ONCE]]

    def spread(self, facts: list[task_pb2.Fact]) -> None:
        for fact in facts:
            self._spreading.pop(fact.id, None)

    def _heard(self, node: str, fact: task_pb2.Fact) -> None:
        known = self._spreading.get(fact.id)
        if known is not None and known.fact.epoch == fact.epoch:
            known.nodes.add(node)
            if len(known.nodes) >= self.keepers.majority:
                del self._spreading[fact.id]
        elif self.learn(fact) and self.keepers.majority > 1:
            now_s = asyncio.get_running_loop().time()
            self._spreading[fact.id] = Spreading(fact, {node}, now_s)

    async def _with(self, node: str) -> None:
        after = attempt = 0
        while True:
            try:
                until = await self._opened(node)
                if after >= until:
                    self._caught_up(node)
                async for sequence, fact in self._follow(node, after):
                    after, attempt = sequence, 0
                    self._heard(node, fact)
                    if sequence >= until:
                        self._caught_up(node)
            except McError as error:
                if error.reason == "SUPERSEDED":
                    raise
                if error.row.retry is Retry.NEVER:
                    attempt = max(attempt, 6)  # It may be mended, but not soon.
                self.failures[node] = error
                self.caught_up.discard(node)
                attempt += 1
                wait_s = delay_s(
                    attempt, self.keepers.rng, base_s=AGAIN_BASE_S, delay_s_max=AGAIN_S_MAX
                )
                await asyncio.sleep(wait_s)

    def _caught_up(self, node: str) -> None:
        self.failures.pop(node, None)
        if node not in self.caught_up:
            self.caught_up.add(node)
            self.changed.set()

    async def _opened(self, node: str) -> int:
        """The sequence that its ledger has come to."""
        job, own = self.keepers.job, self.keepers.own
        if self.lost(node):
            said = f"{node} has lost the ledger of job {job} with its disk"
            raise McError("VOLUME_FAILED", said, next="another keeper takes its place")
        if node == own:
            return (await self.keepers.keeping.open_epoch(job, self.epoch, own)).sequence
        request = task_pb2.OpenEpochRequest(job=job, epoch=self.epoch, steward=own)
        stub = task_pb2_grpc.LedgerServiceStub(self.keepers.channel(node))
        try:
            return (await stub.OpenEpoch(request, timeout=CALL_S)).sequence
        except grpc.aio.AioRpcError as error:
            raise decode(error, node) from error

    async def _follow(self, node: str, after: int) -> AsyncIterator[tuple[int, task_pb2.Fact]]:
        if node == self.keepers.own:
            keeping, job = self.keepers.keeping, self.keepers.job
            while True:
                rows = await keeping.read(job, after)
                for after, fact in rows:
                    yield after, fact
                if not rows:
                    await keeping.wait(job, after, WAIT_S)
        request = task_pb2.ReadFactsRequest(job=self.keepers.job, after_sequence=after, follow=True)
        stub = task_pb2_grpc.LedgerServiceStub(self.keepers.channel(node))
        try:
            async for answer in stub.ReadFacts(request):
                yield answer.sequence, answer.fact
        except grpc.aio.AioRpcError as error:
            raise decode(error, node) from error
        raise McError("UNREACHABLE", f"{node} ended the stream of its ledger")
