"""One chunk on its way: does over the wire what its delivery decides, and says what came of it."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import lru_cache
from typing import Protocol

from coordinator.electorate import Ask
from coordinator.placement import Election
from coordinator.places import node_of
from coordinator.types import Knowing, Member, NodeId, View
from multicloud.errors import McError
from multicloud.v1 import chunk_pb2, common_pb2
from nodeagent.core.chunk.layout import FRAME_SEALED_BYTES_MAX
from nodeagent.core.delivery import Delivery
from nodeagent.core.delivery_words import (
    Acked,
    Action,
    Away,
    Branch,
    Copy,
    ElectAgain,
    Elected,
    Event,
    Failed,
    HolderFailed,
    Lost,
    Push,
    Safe,
    Seen,
    Send,
)
from nodeagent.store.volumes import Volumes
from nodeagent.wire.budget import Lease
from nodeagent.wire.client import ChunkClient
from nodeagent.wire.facts import Fact, Ledger
from nodeagent.wire.flow import Flow, first_of
from nodeagent.wire.ground import Ground
from nodeagent.wire.outlet import Terms
from nodeagent.wire.parts import Parts
from nodeagent.wire.push import push
from nodeagent.wire.sinks import Sinks

LOOK_EVERY_S = 0.25  # At who is there.
MEMBERS_REMEMBERED = 256  # Whose facts need not be read again at each look.
AHEAD_FRAMES = 3  # Sealed while others are being sent.
END_S_MAX = 1.0  # Streams that have said all may end by themselves.
_HERE = (Knowing.ALIVE, Knowing.SUSPECT)
_NO_COPY = ("NOT_FOUND", "DAMAGE")  # What a holder says that has lost its own.


class Brain(Protocol):
    def view(self) -> View: ...
    def elect(self, ask: Ask, unfit: Mapping[NodeId, str]) -> Election: ...


class Delivering:
    def __init__(
        self,
        ground: Ground,
        client: ChunkClient,
        brain: Brain,
        store: Volumes | None,
        delivery: Delivery,
        terms: Terms,
        lease: Lease,
    ) -> None:
        self.delivery, self.chunk_id = delivery, terms.chunk_id
        self.on_acked: Callable[[], None] = lambda: None
        self.on_safe: Callable[[], None] = lambda: None
        self._ground, self._client, self._brain, self._store = ground, client, brain, store
        self._terms, self._lease = terms, lease
        self._ask = delivery.election.ask
        self._waiting: deque[Event] = deque()
        self._came = asyncio.Event()
        self._presence: dict[NodeId, Sequence[Event]] = {}
        self._work: dict[
            asyncio.Task[None], Callable[[], bool]
        ] = {}  # And whether it has said all.

    async def run(self, source: Callable[[], Parts], known: Sequence[Copy]) -> None:
        """Until it is safe, or nothing more can be done. Raises what the source raises."""
        clock_s = self._ground.clock_s
        try:
            async with asyncio.TaskGroup() as group:
                self._obey(self.delivery.begin(clock_s(), known), group, source)
                while not self.delivery.over:
                    await self._news()
                    events = [*self._looked(), *self._heard()]
                    self._obey(self.delivery.step(events, clock_s()), group, source)
                await self._end()
        except BaseExceptionGroup as failed:
            raise first_of(failed) from failed

    # -- What was heard

    def _hear(self, event: Event) -> None:
        self._waiting.append(event)
        self._came.set()

    async def _news(self) -> None:
        wake_s = self.delivery.wake_s
        left_s = LOOK_EVERY_S if wake_s is None else wake_s - self._ground.clock_s()
        try:
            async with asyncio.timeout(max(0.0, min(LOOK_EVERY_S, left_s))):
                await self._came.wait()
        except TimeoutError:
            return

    def _heard(self) -> Iterator[Event]:
        self._came.clear()
        while self._waiting:
            yield self._waiting.popleft()

    def _looked(self) -> Iterator[Event]:
        """Members who came or went since the last look."""
        members = self._brain.view().members
        for node in self.delivery.concerned:
            found = presence(node, members.get(node))
            if found != self._presence.get(node):
                self._presence[node] = found
                yield from found

    def _told(self, fact: Fact) -> None:
        if fact.error is None:
            self._hear(Copy(fact.node, fact.volume, fact.already))
            return
        error = fact.error
        self._hear(Failed(fact.node, error.reason, error.message, error.retry_after_s))

    # -- What is to be done

    def _obey(
        self, actions: Iterable[Action], group: asyncio.TaskGroup, source: Callable[[], Parts]
    ) -> None:
        for action in actions:
            match action:
                case Send():
                    self._send(action, group, source)
                case Push():
                    self._push(action, group)
                case ElectAgain():
                    self._work[group.create_task(self._elect(action))] = lambda: False
                case Acked():
                    self.on_acked()
                case Safe():
                    self.on_safe()

    def _send(self, action: Send, group: asyncio.TaskGroup, source: Callable[[], Parts]) -> None:
        nodes = [node for branch in action.branches for node in branch.nodes()]
        own = [self._ground.node] if action.local else []
        ledger = Ledger((*own, *nodes), self._told)
        task = group.create_task(self._flow(action, ledger, source()))
        self._work[task] = lambda: not ledger.open

    async def _flow(self, action: Send, ledger: Ledger, parts: Parts) -> None:
        terms = self._terms
        sinks = Sinks(self._ground, self._store, terms, ledger)
        self._lease.grow(AHEAD_FRAMES * FRAME_SEALED_BYTES_MAX)
        try:
            await sinks.add([tree_of(branch) for branch in action.branches])
            if action.local:
                await sinks.keep(self._ground.node)
            flow = Flow(sinks.every, window_bytes=lambda: self._lease.size_bytes)
            await flow.run(self._noting(parts))
        finally:
            await sinks.close()

    async def _noting(self, parts: Parts) -> Parts:
        async with aclosing(parts):
            async for part in parts:
                self.chunk_id = part.chunk_id or self.chunk_id
                yield part

    def _push(self, action: Push, group: asyncio.TaskGroup) -> None:
        open_ = {node for branch in action.branches for node in branch.nodes()}
        self._work[group.create_task(self._pushed(action, open_))] = lambda: not open_

    async def _pushed(self, action: Push, open_: set[NodeId]) -> None:
        def told(fact: Fact) -> None:
            if fact.node in open_ and (fact.error or fact.chunk_id == self.chunk_id):
                open_.discard(fact.node)
                self._told(fact)

        holder = action.holder
        trees = [tree_of(branch) for branch in action.branches]
        failed = McError("FAILED", f"{holder} ended the push without a word of it")
        try:
            if node_of(holder) == self._ground.node and self._store is not None:
                ledger = Ledger(tuple(open_), told)
                terms = Terms(self._terms.job, self._terms.task)
                await push(self._ground, self._store, self.chunk_id, terms, trees, ledger)
            else:
                said = self._client.push(holder, self.chunk_id, trees, self._terms.job)
                async for fact in said:
                    told(fact)
        except McError as error:
            failed = error
        if not open_:
            return
        if failed.reason in _NO_COPY:
            self._hear(Lost(holder, failed.message))
        self._hear(HolderFailed(holder, tuple(open_), failed.reason, failed.message))
        open_.clear()

    async def _elect(self, action: ElectAgain) -> None:
        ask = replace(self._ask, holders=action.holders)
        try:
            found = await asyncio.to_thread(self._brain.elect, ask, action.refused)
        except McError as error:
            self._hear(Elected(None, str(error)))
        else:
            self._hear(Elected(found))

    async def _end(self) -> None:
        """Who has said all closes by itself, the others are cut off."""
        for task, said_all in self._work.items():
            if not said_all():
                task.cancel()
        if self._work:
            await asyncio.wait(self._work, timeout=END_S_MAX)
        for task in self._work:
            task.cancel()


def tree_of(branch: Branch) -> chunk_pb2.PutTree:
    return chunk_pb2.PutTree(node=branch.node, children=[tree_of(c) for c in branch.children])


def presence(node: NodeId, member: Member | None) -> Sequence[Event]:
    """What a delivery is to know of a member that it is concerned with."""
    if member is None:
        return (Away(node, "it is no member"),)
    if member.knowing is Knowing.REMOVED:
        return Seen(node, frozenset()), Away(node, "it was removed")
    if member.knowing is Knowing.UNREACHABLE:
        return ()  # Too few are left to judge; the stream to it tells more.
    if member.knowing in _HERE:
        return (Seen(node, _volumes(member.facts.more) if member.facts else None),)
    return (Away(node, f"it is {member.knowing.name.lower()}"),)


@lru_cache(MEMBERS_REMEMBERED)
def _volumes(said: bytes) -> frozenset[str] | None:
    """Those whose bytes can be counted on: a failed one's copies are made anew elsewhere."""
    volumes = common_pb2.NodeFacts.FromString(said).volumes
    failed = common_pb2.VOLUME_STATE_FAILED
    return frozenset(v.uuid for v in volumes if v.state != failed) if volumes else None
