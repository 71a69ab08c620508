"""Where the brain meets the world: feeds it events, performs its actions, keeps its view at hand.

Everything here runs in the watch's loop, but for what says otherwise.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Protocol

from coordinator.actions import Action, CloseWatch, OpenWatch, SaveGeneration, Send, Tell
from coordinator.brain import Brain
from coordinator.distance import Measured, Stamps
from coordinator.events import Event, FactsChanged, GenerationSaved, Received, Tick
from coordinator.latency import Latency
from coordinator.messages import Answer, Message, Probe
from coordinator.rtt_table import RttTable, Typical
from coordinator.settings import Settings
from coordinator.types import Coordinate, Facts, Knowing, NodeId, View
from nodeagent.config.model import Watch
from nodeagent.ops.looplag import LoopLag

VIEW_EVERY_S, VIEW_NODES = 0.2, 100
FACTS_EVERY_S = 1.0
FACTS_S_MAX = 10.0
NODES_A_SECOND = 20  # So many publish within a second in a large cluster.
KERNEL_EVERY_S = 10.0
AFAR_EVERY_S = 2.5
PRIMING, PRIMED_S = 0, 3.0
_HERE = {Knowing.ALIVE, Knowing.SUSPECT, Knowing.UNREACHABLE, Knowing.DOWN}


class Links(Protocol):
    """How other brains are reached."""

    def open(self, subject: NodeId) -> None: ...
    def close(self, subject: NodeId) -> None: ...
    def send(self, to: NodeId, message: Message) -> None: ...


class Body(Protocol):
    """What the rest of the node gives and takes."""

    def facts(self) -> Facts:
        """What this node would say of itself now. Quick; called every second."""

    def save_generation(self, generation: int) -> None:
        """Durable when it returns. Blocks; called in a thread."""

    def told(self, what: Tell) -> None: ...
    def saved_coordinate(self) -> Coordinate | None: ...
    def save_coordinate(self, coordinate: Coordinate) -> None:
        """Blocks; called in a thread."""

    def kernel_rtts_ms(self, nodes: Collection[NodeId]) -> Mapping[NodeId, float]:
        """Blocks; called in a thread."""


@dataclass(slots=True)
class Driver:
    body: Body
    settings: Settings
    rng: Random
    typical: Typical
    links: Links | None = None
    brain: Brain | None = None
    latency: Latency = field(init=False)
    lag: LoopLag = field(default_factory=LoopLag)
    _primed: NodeId = ""  # To whom a way stands, beside the watch.
    _loop: asyncio.AbstractEventLoop | None = None
    _timer: asyncio.TimerHandle | None = None
    _view: View = field(init=False)
    _rtts: RttTable = field(init=False)
    _measured: Mapping[NodeId, Measured] = field(default_factory=dict)
    _published: Facts | None = None
    _published_s: float = 0.0
    _saving: asyncio.Queue[int] = field(default_factory=asyncio.Queue)

    def __post_init__(self) -> None:
        own = self.body.facts()
        self.latency = Latency(own.domain, self.rng, saved=self.body.saved_coordinate())
        self._view = View(own.node, {})
        self._rtts = RttTable(self.typical)

    async def run(self, links: Links, group: asyncio.TaskGroup) -> None:
        """Lives until it is cancelled."""
        self._loop = asyncio.get_running_loop()
        self.links = links
        own = self.body.facts()
        self.brain = Brain(own, self.settings, self.rng, self._loop.time())
        self._published = own
        for work in (
            self.lag.run(),
            self._viewing(),
            self._publishing(),
            self._asking_kernel(),
            self._asking_afar(),
            self._generations(),
        ):
            group.create_task(work)
        self.handle(Tick())

    # -- Events in

    def post(self, event: Event) -> None:
        """From any thread."""
        self.call(partial(self.handle, event))

    def call(self, work: Callable[[], object]) -> None:
        """From any thread: does it in the watch's loop, as soon as that is free."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(work)

    def handle(self, event: Event) -> None:
        assert self._loop
        assert self.brain
        now_s = self._loop.time()
        if isinstance(event, Received) and isinstance(event.message, Answer):
            self._measure(event.sender, event.message, now_s - event.held_s)
        for action in self.brain.step(event, now_s):
            self._perform(action)
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_at(self.brain.due_s(), self.handle, Tick())

    def _measure(self, peer: NodeId, answer: Answer, received_s: float) -> None:
        member = self._view.members.get(peer)
        if member is None or member.facts is None or answer.sequence == PRIMING:
            return
        lag_s = self.lag.lag_s()
        stamps = Stamps(answer.probe_sent_s, received_s, answer.held_s, lag_s, answer.lag_s)
        self.latency.answered(peer, member.facts.domain, stamps, received_s, answer.coordinate)

    # -- Actions out

    def _perform(self, action: Action) -> None:
        assert self.links
        match action:
            case Send(to, Answer() as answer):
                self.links.send(to, replace(answer, lag_s=self.lag.lag_s()))
            case Send(to, message):
                self.links.send(to, message)
            case OpenWatch(subject):
                self.links.open(subject)
            case CloseWatch(subject):
                self.links.close(subject)
            case SaveGeneration(generation):
                self._saving.put_nowait(generation)
            case Tell():
                self._look()
                self.body.told(action)

    async def _generations(self) -> None:
        while True:
            generation = await self._saving.get()
            await asyncio.to_thread(self.body.save_generation, generation)
            self.handle(GenerationSaved(generation))

    # -- What others read, from any thread

    def view(self) -> View:
        return self._view

    def rtts(self) -> RttTable:
        return self._rtts

    def measured(self) -> Mapping[NodeId, Measured]:
        """Round trips that this node measured itself."""
        return self._measured

    def _look(self) -> None:
        if self._loop and self.brain:
            self._view = self.brain.view(self._loop.time())

    async def _viewing(self) -> None:
        assert self._loop
        while True:
            self._look()
            now_s = self._loop.time()
            here = [m for m in self._view.members.values() if m.knowing in _HERE]
            facts = [m.facts for m in here if m.facts]
            self._rtts = self._rtts.merged(facts, now_s)
            self._measured = self.latency.all_measured(now_s)
            # Changes are looked at when they are told; the rest, in a large cluster, more rarely.
            await asyncio.sleep(VIEW_EVERY_S * max(1.0, len(here) / VIEW_NODES))

    # -- What this node says of itself

    async def _publishing(self) -> None:
        assert self._loop
        while True:
            now_s = self._loop.time()
            facts = replace(
                self.body.facts(),
                rtts_ms=self.latency.own_rtts(now_s),
                coordinate=self.latency.coordinate,
            )
            if self._worth_saying(facts, now_s):
                self._published, self._published_s = facts, now_s
                self.handle(FactsChanged(facts))
            await asyncio.sleep(FACTS_EVERY_S)

    def _worth_saying(self, facts: Facts, now_s: float) -> bool:
        """At once what others must know; figures now and then, in a large cluster more rarely."""
        old = self._published
        if old is None or (old.draining, old.domain, old.more) != (
            facts.draining,
            facts.domain,
            facts.more,
        ):
            return True
        pause_s = max(FACTS_S_MAX, len(self._view.members) / NODES_A_SECOND)
        quick_s = pause_s / FACTS_S_MAX
        age_s = now_s - self._published_s
        moved = abs(facts.bytes_free - old.bytes_free) > 0.1 * max(1, old.bytes_free)
        return age_s >= pause_s or (age_s >= quick_s and (moved or facts.rtts_ms != old.rtts_ms))

    async def _asking_kernel(self) -> None:
        assert self._loop
        while True:
            await asyncio.sleep(KERNEL_EVERY_S)
            nodes = list(self._view.neighbours)
            found = await asyncio.to_thread(self.body.kernel_rtts_ms, nodes)
            for node, rtt_ms in found.items():
                self.latency.kernel(node, rtt_ms, self._loop.time())
            await asyncio.to_thread(self.body.save_coordinate, self.latency.coordinate)

    async def _asking_afar(self) -> None:
        while True:
            await asyncio.sleep(AFAR_EVERY_S)
            await self._ask_afar()

    async def _ask_afar(self) -> None:
        """One node of a region that this one does not watch, so that the table has every pair."""
        assert self._loop
        assert self.links
        own, near = self._view.own, self._view.neighbours
        others = {
            node: member.facts.domain
            for node, member in self._view.members.items()
            if member.facts and node != own and member.knowing is Knowing.ALIVE
        }
        wanted = self.latency.wanted(others, self._loop.time())
        if wanted is None or wanted in near:
            return
        if wanted != self._primed:
            # The first word may have to dial, there and back: only the next ones measure.
            self.links.send(wanted, Probe(PRIMING, self._loop.time()))
            await asyncio.sleep(PRIMED_S)
            self._primed = wanted
        self.links.send(wanted, Probe(PRIMING + 1, self._loop.time()))


def settings_of(watch: Watch) -> Settings:
    """The brain's settings as the configuration has them."""
    return Settings(
        probe_s=watch.probe_s,
        suspect_s=watch.suspect_s,
        silent_s=watch.silent_s,
        hold_s=watch.hold_s,
    )
