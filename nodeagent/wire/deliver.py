"""Brings chunks to their copies: says acked and safe when they are, and what was reached if not.

delivered = await deliverer.deliver(sealing.parts, election, Terms(job, task, bytes_max))
delivered.demand_safe()
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Protocol

from coordinator.electorate import Ask
from coordinator.placement import Election
from coordinator.places import node_of, volume_of
from coordinator.types import Domain, NodeId, View
from multicloud.errors import REASONS, McError, Retry
from nodeagent.core.backoff import delay_s
from nodeagent.core.delivery import DEFAULT, Delivery
from nodeagent.core.delivery_tree import Cost
from nodeagent.core.delivery_words import ACK_COPIES_DEFAULT, Copy, Failed, Goal, Patience, Reached
from nodeagent.store.contract import Pin
from nodeagent.store.volumes import DISK, Volumes
from nodeagent.wire.budget import Lease
from nodeagent.wire.client import ChunkClient
from nodeagent.wire.delivering import Delivering
from nodeagent.wire.ground import Ground
from nodeagent.wire.outlet import Terms
from nodeagent.wire.parts import Parts
from nodeagent.wire.receive import BRIDGE_S, promise

SENDS_MAX = 5  # A chunk of which no copy came about is sealed and sent anew so often at most.


class Brain(Protocol):
    """What is known of the members here. `elect` may be called in a thread."""

    def view(self) -> View: ...
    def elect(self, ask: Ask, unfit: Mapping[NodeId, str]) -> Election: ...
    def cost(self, a: Domain, b: Domain) -> Cost: ...


@dataclass(frozen=True, slots=True)
class Delivered:
    """How far a chunk came. `reached` is exact also when it is neither acked nor safe."""

    chunk_id: bytes
    reached: Reached
    election: Election  # The last that was held for it.

    def demand_safe(self) -> None:
        """COPIES_MISSING unless it is."""
        if not self.reached.safe:
            raise self.reached.error(self.chunk_id)


Told = Callable[[Delivered], None]


def _nobody(_: Delivered) -> None:
    return


@dataclass(slots=True)
class Deliverer:
    ground: Ground
    client: ChunkClient
    brain: Brain
    store: Volumes | None = None  # None: who sends keeps no chunks.
    patience: Patience = DEFAULT
    rng: Random = field(default_factory=Random)

    async def deliver(
        self,
        source: Callable[[], Parts],
        election: Election,
        terms: Terms,
        *,
        ack_copies: int = ACK_COPIES_DEFAULT,
        on_acked: Told = _nobody,
        on_safe: Told = _nobody,
    ) -> Delivered:
        """One chunk, pinned for the terms' job wherever it comes to lie.

        `source` is opened again when the chunk must be sent anew; with a sealer behind it that is
        another chunk, with an id of its own. Once a chunk is acked nothing is sent anew. Where the
        terms name the id, copies that exist are found and pinned first, and feed the others.
        """
        goal = Goal(election.ask.policy, ack_copies)
        span = self.ground.watcher.span("chunk.deliver", job=terms.job, task=terms.task)
        with span as traced, await self._room() as lease:
            for sending in range(1, SENDS_MAX + 1):
                known = await self._known(election, terms)
                if known:
                    election = await self._elect_beside(election.ask, known)
                one = self._delivering(election, goal, terms, lease)
                one.on_acked, one.on_safe = _told(one, on_acked), _told(one, on_safe)
                await one.run(source, known)
                done = _delivered(one)
                again = not done.reached.copies and not done.reached.acked
                if not again or sending == SENDS_MAX:
                    break
                election = await self._elect_after(sending, election.ask, done.reached)
            outcome = "safe" if done.reached.safe else "short"
            self.ground.watcher.count("mc.deliveries", outcome=outcome)
            traced.fact(copies=len(done.reached.copies), outcome=outcome, sendings=sending)
        return done

    async def _room(self) -> Lease:
        """For what is sealed ahead. Waits while many others have it, and not for ever."""
        clock_s = self.ground.clock_s
        until_s = clock_s() + self.ground.limits().stream_stall_s
        while True:
            try:
                return self.ground.budget.lease(self.ground.node)
            except McError as busy:
                if clock_s() >= until_s or busy.retry_after_s is None:
                    raise
                await asyncio.sleep(self.rng.uniform(0.0, busy.retry_after_s))

    def _delivering(self, election: Election, goal: Goal, terms: Terms, lease: Lease) -> Delivering:
        cost, patience = self.brain.cost, self.patience
        delivery = Delivery(goal, election, cost, rng=self.rng, patience=patience)
        return Delivering(self.ground, self.client, self.brain, self.store, delivery, terms, lease)

    async def _elect_after(self, sending: int, ask: Ask, reached: Reached) -> Election:
        """Past those that refused, as long as there are others; busy ones get time."""
        base_s, most_s = self.patience.pause_base_s, self.patience.pause_s_max
        pause_s = delay_s(sending, self.rng, base_s=base_s, delay_s_max=most_s)
        asked_for_s = (f.retry_after_s or 0.0 for f in reached.failures)
        await asyncio.sleep(max(pause_s, min(most_s, max(asked_for_s, default=0.0))))
        refused = {f.node: str(f) for f in reached.failures if not _is_for_a_moment(f)}
        found = await asyncio.to_thread(self.brain.elect, ask, refused)
        return found if found.targets else await asyncio.to_thread(self.brain.elect, ask, {})

    async def _elect_beside(self, ask: Ask, known: list[Copy]) -> Election:
        holders = tuple(dict.fromkeys(copy.node for copy in known))
        return await asyncio.to_thread(self.brain.elect, replace(ask, holders=holders), {})

    # -- Copies that are there already

    async def _known(self, election: Election, terms: Terms) -> list[Copy]:
        """Durable, good and pinned. Who does not answer has none."""
        if not terms.chunk_id:
            return []
        seats = [*election.targets, *election.spares]
        places = dict.fromkeys([*election.ask.holders, *(seat.node for seat in seats)])
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._of(place, terms)) for place in places]
        return [copy for task in asked for copy in task.result()]

    async def _of(self, place: NodeId, terms: Terms) -> list[Copy]:
        ids, volume = [terms.chunk_id], volume_of(place) or DISK
        try:
            if node_of(place) == self.ground.node and self.store is not None:
                until_unix_s = self.ground.clock_unix_s() + BRIDGE_S
                pin = Pin(terms.job) if terms.job else promise(self.ground.node, until_unix_s)
                held = await self.store.named(volume).have(ids, pin)
                return [Copy(place, one.volume, already=True) for one in held]
            keep_s = 0 if terms.job else int(BRIDGE_S)
            node = node_of(place)
            found = await self.client.have(node, ids, job=terms.job, keep_s=keep_s, volume=volume)
        except McError:
            return []  # It is no copy then; if it is elected, the put says why it fails.
        return [Copy(place, copy.volume, already=True) for copy in found]


def _is_for_a_moment(failed: Failed) -> bool:
    row = REASONS.get(failed.reason)
    return row is not None and row.retry is Retry.HERE


def _delivered(one: Delivering) -> Delivered:
    return Delivered(one.chunk_id, one.delivery.reached, one.delivery.election)


def _told(one: Delivering, told: Told) -> Callable[[], None]:
    return lambda: told(_delivered(one))
