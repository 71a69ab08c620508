"""Virtual time for many brains: one heap of events, one source of chance, one trace.

`World` boots hosts and runs them; faults are in `tests/sim/faults.py`, checks in `checks.py`.
"""

import heapq
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from random import Random
from typing import Any

from coordinator import actions, events
from coordinator.events import (
    Event,
    GenerationSaved,
    PeerMet,
    Received,
    Tick,
)
from coordinator.messages import Answer, DigestEntry, News, Probe, Sync, Vote
from coordinator.settings import Settings
from coordinator.types import Domain, Knowing, NodeId, Record
from tests.sim.hosts import Host, Later, MakeBrain
from tests.sim.network import Network
from tests.sim.wire import Wire

FSYNC_S = 0.005
GREETING_S = 1.0  # A node that knows nobody greets its configured addresses so often.
CLOCK_DRIFT = 100e-6
CLOCK_ORIGINS_S = 30 * 86400.0
LATE_TICK_S = 0.002  # Timers of a healthy loop are late by up to so much.
CODES: dict[type, int] = {
    kind: code
    for code, kind in enumerate((*events.Event.__args__, Probe, Answer, Vote, News, Sync))
}


@dataclass(frozen=True, slots=True)
class Told:
    """A brain told its body something, at a time of the world."""

    at_s: float
    observer: Host
    what: str
    subject: NodeId
    knowing: Knowing | None
    why: str


class World:
    def __init__(
        self,
        seed: int,
        standing: Sequence[Domain],
        make_brain: MakeBrain,
        settings: Settings | None = None,
        loss: float = 0.0,
    ) -> None:
        self.seed = seed
        self.now_s = 0.0
        self.rng = Random(seed)
        self.settings = settings or Settings()
        self.network = Network(self.rng, loss)
        self.wire = Wire(self, self.network)
        self.hosts: list[Host] = []
        self.by_id: dict[NodeId, Host] = {}
        self.told: list[Told] = []
        self.events = 0
        self._make_brain = make_brain
        self._heap: list[tuple[float, int, Later]] = []
        self._sequence = 0
        self._trace = blake2b(digest_size=16)
        for domain in standing:
            self.add(domain)

    # --- hosts ---------------------------------------------------------------------------

    def add(self, domain: Domain) -> Host:
        """A machine that is switched on and runs nothing yet."""
        host = Host(
            index=len(self.hosts),
            id=f"{self.rng.getrandbits(64):016x}",
            domain=domain,
            clock_offset_s=self.rng.uniform(0, CLOCK_ORIGINS_S),
            clock_rate=1 + self.rng.uniform(-CLOCK_DRIFT, CLOCK_DRIFT),
        )
        self.hosts.append(host)
        self.by_id[host.id] = host
        return host

    def start(self, host: Host, seeds: Sequence[Host] = ()) -> None:
        """Starts the process: a new generation, and greetings to its configured addresses."""
        assert not host.running
        host.generation += 1
        host.lives += 1
        host.running, host.silent, host.started_s = True, False, self.now_s
        host.tick_at_s, host.paused_until_s = float("inf"), 0.0
        host.inbox.clear()
        chance = Random(self.rng.getrandbits(64))
        now_s = host.clock_s(self.now_s)
        host.brain = self._make_brain(host.facts(), self.settings, chance, now_s)
        self._look_at_clock(host)
        if seeds:
            self._greet((host, host.lives), tuple(seeds))

    def boot(self, seeds: int = 3, within_s: float = 1.0) -> None:
        """All machines start about together and find each other through the first few."""
        for host in self.hosts:
            first = tuple(h for h in self.hosts[:seeds] if h is not host)
            at_s = self.now_s + self.rng.uniform(0, within_s)
            self.later(at_s, (self._start_if_down, host, first))

    def boot_warm(self) -> None:
        """All machines start and know each other already, as after a long quiet life."""
        for host in self.hosts:
            self.start(host)
        entries = tuple(DigestEntry(Record(h.id, h.generation), 1) for h in self.hosts)
        everybody = Sync(entries, tuple(h.facts() for h in self.hosts), answer=True, last="~")
        for number, host in enumerate(self.hosts):
            told = Received(self.hosts[number - 1].id, everybody)
            self.at(self.now_s + self.rng.random(), partial(self.post, host, told))

    def _start_if_down(self, host: Host, seeds: Sequence[Host]) -> None:
        if not host.running:
            self.start(host, seeds)

    def _greet(self, who: tuple[Host, int], seeds: Sequence[Host]) -> None:
        host, life = who
        if host.lives != life or not host.running or len(self.view(host).members) > 1:
            return
        self.later(self.now_s + GREETING_S, (self._greet, who, seeds))
        for seed in seeds:
            passes = self.network.passes(host.id, seed.id) and self.network.passes(seed.id, host.id)
            if seed.running and not seed.silent and not host.silent and passes:
                rtt_s = self.network.rtt_s(host.domain, seed.domain)
                delay_s = 2 * rtt_s + self.network.delay_s(host.id, seed.id, rtt_s, 1.0)
                met = PeerMet(host.id, host.generation)
                self.later(self.now_s + delay_s, (self._meet, (seed, seed.lives), met))
                back = PeerMet(seed.id, seed.generation)
                self.later(self.now_s + delay_s + rtt_s / 2, (self._meet, who, back))

    def _meet(self, who: tuple[Host, int], met: PeerMet) -> None:
        host, life = who
        if host.lives != life or not host.running or host.silent:
            return
        if host.paused_until_s > self.now_s:
            host.inbox.append((self._meet, who, met))
        else:
            self.step(host, met)

    # --- time ----------------------------------------------------------------------------

    def later(self, at_s: float, what: Later) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (at_s, self._sequence, what))

    def at(self, at_s: float, do: Callable[[], None]) -> None:
        """A fault or a check at a set time."""
        self.later(at_s, (_do, do, None))

    def run(self, seconds: float) -> None:
        until_s = self.now_s + seconds
        heap, pop = self._heap, heapq.heappop
        while heap and heap[0][0] <= until_s:
            self.now_s, _, (what, x, y) = pop(heap)
            what(x, y)
        self.now_s = until_s

    def run_until(self, fact: Callable[[], bool], most_s: float, every_s: float = 0.1) -> bool:
        """Runs until the fact holds; False when it never did."""
        end_s = self.now_s + most_s
        while not fact():
            if self.now_s >= end_s:
                return False
            self.run(every_s)
        return True

    # --- brains --------------------------------------------------------------------------

    def step(self, host: Host, event: Any) -> None:
        brain = host.brain
        assert brain is not None
        assert host.running
        self.events += 1
        kind = type(event)
        code = CODES[type(event.message) if kind is Received else kind]
        self._trace.update(struct.pack("<dHB", self.now_s, host.index, code))
        wire, life = self.wire, host.lives
        for action in brain.step(event, host.clock_offset_s + self.now_s * host.clock_rate):
            if isinstance(action, actions.Send):
                wire.send(host, action.to, action.message)
            elif isinstance(action, actions.OpenWatch):
                wire.open(host, action.subject)
            elif isinstance(action, actions.CloseWatch):
                wire.close(host, action.subject)
            elif isinstance(action, actions.Tell):
                self._tell(host, action)
            else:
                saved = GenerationSaved(action.generation)
                self.later(self.now_s + FSYNC_S, (self._saved, (host, life), saved))
        self._look_at_clock(host)

    def _tell(self, host: Host, tell: actions.Tell) -> None:
        told = Told(self.now_s, host, tell.what, tell.node, tell.knowing, tell.why)
        self.told.append(told)
        self._trace.update(f"{host.index}{tell.what}{tell.node}".encode())

    def _saved(self, who: tuple[Host, int], saved: GenerationSaved) -> None:
        host, life = who
        if host.lives == life and host.running:
            host.generation = saved.generation
            self.step(host, saved)

    def _look_at_clock(self, host: Host) -> None:
        """Sets the timer for when the brain is due, if that is earlier than the one that runs."""
        assert host.brain is not None
        due_s = (host.brain.due_s() - host.clock_offset_s) / host.clock_rate
        if due_s < host.tick_at_s - 1e-9:
            at_s = max(due_s, self.now_s) + self.rng.random() * LATE_TICK_S
            host.tick_at_s = at_s
            self.later(at_s, (self._tick, host, host.lives))

    def _tick(self, host: Host, life: int) -> None:
        if host.lives != life or not host.running or host.tick_at_s > self.now_s:
            return
        if host.paused_until_s > self.now_s:
            host.inbox.append((self._tick, host, life))
            return
        host.tick_at_s = float("inf")
        assert host.brain is not None
        if host.brain.due_s() <= host.clock_s(self.now_s):
            self.step(host, Tick())
        else:
            self._look_at_clock(host)

    def pause(self, host: Host, seconds: float) -> None:
        """The process stands still: its kernel goes on, its clock too."""
        until_s = self.now_s + seconds
        if host.running and until_s > host.paused_until_s:
            host.paused_until_s = until_s
            self.later(until_s, (self._wake, host, until_s))

    def _wake(self, host: Host, until_s: float) -> None:
        if host.paused_until_s != until_s:
            return
        host.paused_until_s = 0.0
        waiting, host.inbox = host.inbox, []
        if self.rng.random() < 0.5:  # Timers and sockets are ready at once; either may come first.
            waiting.sort(key=lambda work: work[0] != self._tick)
        for what, x, y in waiting:
            what(x, y)

    # --- what is seen --------------------------------------------------------------------

    def view(self, host: Host) -> Any:
        assert host.brain is not None
        return host.brain.view(host.clock_s(self.now_s))

    def post(self, host: Host, event: Event) -> None:
        """The body posts an event of its own: facts, a leave, a removal."""
        self._post((host, host.lives), event)

    def _post(self, who: tuple[Host, int], event: Event) -> None:
        host, life = who
        if host.lives != life or not host.running:
            return
        if host.paused_until_s > self.now_s:
            host.inbox.append((self._post, who, event))
        else:
            self.step(host, event)

    @property
    def running(self) -> list[Host]:
        return [host for host in self.hosts if host.running]

    @property
    def trace(self) -> str:
        """Of every event so far; equal for equal seeds, in any process."""
        return self._trace.hexdigest()


def _do(do: Callable[[], None], _: None) -> None:
    do()
