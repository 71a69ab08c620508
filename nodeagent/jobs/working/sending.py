"""Chunks on their way to their copies: where to, past whom that fails again and again, over which
borders between clouds, and when they are acked and safe.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple, Protocol

import structlog

from coordinator.electorate import Ask
from coordinator.placement import Election
from coordinator.policy import Policy
from coordinator.prices import GB
from coordinator.tree import Edge
from coordinator.types import Domain, NodeId, View
from multicloud.errors import REASONS, McError, Retry
from nodeagent.core.breaker import Breakers, State
from nodeagent.core.delivery_tree import Cost
from nodeagent.core.delivery_words import Copy
from nodeagent.jobs.working.chunks import Draft
from nodeagent.wire.deliver import Brain, Delivered, Told
from nodeagent.wire.outlet import Terms
from nodeagent.wire.parts import Parts
from nodeagent.wire.sealing import sealed_bytes_max

_log = structlog.stdlib.get_logger(__name__)


class Crossed(NamedTuple):
    bytes: int
    usd: float


Borders = Mapping[tuple[str, str], Crossed]  # Cloud to cloud; in one cloud only what costs money.


class Deliverer(Protocol):
    """Of `nodeagent.wire.deliver`."""

    async def deliver(
        self,
        source: Callable[[], Parts],
        election: Election,
        terms: Terms,
        *,
        ack_copies: int,
        on_acked: Told,
        on_safe: Told,
    ) -> Delivered: ...


class Counting(Protocol):
    def count(self, name: str, n: float = 1, **labels: str) -> None: ...


@dataclass(slots=True)
class CarefulBrain:
    """The node's brain, which passes by whoever failed again and again, while others will do."""

    brain: Brain
    clock_s: Callable[[], float]
    breakers: Breakers = field(default_factory=Breakers)

    def view(self) -> View:
        return self.brain.view()

    def cost(self, a: Domain, b: Domain) -> Cost:
        return self.brain.cost(a, b)

    def elect(self, ask: Ask, unfit: Mapping[NodeId, str]) -> Election:
        now_s = self.clock_s()
        avoided = self.breakers.unfit(now_s)
        found = self.brain.elect(ask, {**avoided, **unfit})
        if avoided and not found.met:
            found = self.brain.elect(ask, unfit)
        for seat in found.targets:
            self.breakers.tries(seat.node, now_s)
        return found


@dataclass(slots=True)
class Sending:
    """One chunk: `acked` is set once it is, or the delivery has ended without."""

    draft: Draft
    acked: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)  # Nothing more becomes of it.
    at_ack: Delivered | None = None
    done: Delivered | None = None
    error: Exception | None = None  # Why it ended before it was acked.

    def copies(self) -> tuple[Copy, ...]:
        last = self.done or self.at_ack
        return last.reached.copies if last else ()


@dataclass(slots=True)
class Sender:
    """Of one job on this node."""

    deliverer: Deliverer
    brain: CarefulBrain
    own: NodeId
    job: str
    policy: Policy
    ack_copies: int
    counting: Counting
    rng: Random = field(default_factory=Random)

    async def send(self, sending: Sending, task: str, place: int, plain_bytes_max: int) -> None:
        """Until the chunk is safe, or nothing more can be done. Raises nothing: it is noted."""
        try:
            sending.done = await self._send(sending, task, place, plain_bytes_max)
            self._learn(sending.done)
            if not sending.done.reached.acked:
                sending.error = sending.done.reached.error(sending.done.chunk_id)
        except Exception as error:  # noqa: BLE001 - Whoever waits for the chunk raises it.
            sending.error = error
        finally:
            await sending.draft.close()
            sending.acked.set()
            sending.ended.set()

    async def _send(
        self, sending: Sending, task: str, place: int, plain_bytes_max: int
    ) -> Delivered:
        size_bytes = sealed_bytes_max(plain_bytes_max)
        key = f"{self.job}/{task}/{place}"
        ask = Ask(self.policy, self._domain(), key, size_bytes, source_node=self.own)
        election = await asyncio.to_thread(self.brain.elect, ask, {})

        def acked(done: Delivered) -> None:
            sending.at_ack = done
            sending.acked.set()

        return await self.deliverer.deliver(
            sending.draft.parts,
            election,
            Terms(self.job, task, size_bytes),
            ack_copies=self.ack_copies,
            on_acked=acked,
            on_safe=lambda _: None,
        )

    def _domain(self) -> Domain:
        member = self.brain.view().members.get(self.own)
        if member is None or member.facts is None:
            said = "this node does not know yet where it stands"
            raise McError("STARTING", said, retry_after_s=0.5)
        return member.facts.domain

    def _learn(self, done: Delivered) -> None:
        """Who has taken a copy is well; who failed is left alone after a few times."""
        breakers, now_s = self.brain.breakers, self.brain.clock_s()
        for copy in done.reached.copies:
            if breakers.states(now_s).get(copy.node, State.CLOSED) is not State.CLOSED:
                self.counting.count("mc.breaker.closed", peer=copy.node)
                _log.info("peer_trusted_again", peer=copy.node)
            breakers.succeeded(copy.node)
        for failed in done.reached.failures:
            row = REASONS.get(failed.reason)
            if row is None or row.retry is Retry.NEVER or failed.reason == "TOO_BUSY":
                continue
            before = breakers.states(now_s).get(failed.node, State.CLOSED)
            breakers.failed(failed.node, failed.reason, now_s, self.rng)
            after = breakers.states(now_s)[failed.node]
            if after is State.OPEN and before is not State.OPEN:
                self.counting.count("mc.breaker.opened", peer=failed.node, reason=failed.reason)
                _log.warning("peer_left_alone", peer=failed.node, why=str(failed))

    def borders(self, done: Delivered, file_bytes: int, before: Collection[Copy] = ()) -> Borders:
        """What the new copies brought over borders: along the elected tree, also through a node
        that is not done with its own yet; to whoever took the place of a target from the cheapest
        that had it.
        """
        known = self.brain.view().members
        domains = {n: m.facts.domain for n, m in known.items() if m.facts is not None}
        parents = {edge.target: edge.source or self.own for edge in _edges(done.election)}
        failed = {one.node for one in done.reached.failures}
        have = [self.own, *(copy.node for copy in before)]
        sums: dict[tuple[str, str], Crossed] = {}
        for copy in self._new(done, before):
            parent = parents.get(copy.node, "")
            feeders = [parent] if parent and parent not in failed else have
            there = domains.get(copy.node)
            here = [domains[node] for node in feeders if node in domains]
            if there is None or not here:
                continue
            cheapest = min(here, key=lambda domain: self.brain.cost(domain, there))
            usd = self.brain.cost(cheapest, there).usd_per_gb * file_bytes / GB
            if cheapest.cloud != there.cloud or usd:
                edge = cheapest.cloud, there.cloud
                known_bytes, known_usd = sums.get(edge, (0, 0.0))
                sums[edge] = Crossed(known_bytes + file_bytes, known_usd + usd)
            have.append(copy.node)
        return sums

    def _new(self, done: Delivered, before: Collection[Copy]) -> Iterable[Copy]:
        had = {copy.node for copy in before} | {self.own}
        return [c for c in done.reached.copies if c.node not in had and not c.already]


def _edges(election: Election) -> Iterable[Edge]:
    return *election.tree, *election.fed
