"""The simulator itself tells the truth: delays, order, refusals, silence, pauses, cuts."""

from itertools import pairwise
from random import Random

from coordinator.actions import Action, OpenWatch, Send
from coordinator.events import Event, FactsChanged, Received, WatchBroke, WatchOpened
from coordinator.messages import News, Probe
from coordinator.settings import Settings
from coordinator.types import Domain, Facts, NodeId, View
from tests.sim import faults, wire
from tests.sim.world import World

NEAR = Domain("aws", "us-east-1", "a")
FAR = Domain("azure", "westeurope", "a")
RTT_S = 0.080


class Recorder:
    """A brain that does what its test says and writes down what happens to it."""

    def __init__(self, own: Facts, settings: Settings, rng: Random, now_s: float) -> None:
        self.own = own.node
        self.seen: list[tuple[float, Event]] = []
        self.to_do: list[Action] = []

    def step(self, event: Event, now_s: float) -> list[Action]:
        self.seen.append((now_s, event))
        actions, self.to_do = self.to_do, []
        return actions

    def due_s(self) -> float:
        return float("inf")

    def view(self, now_s: float) -> View:
        return View(self.own, {})


class Pair:
    """Two machines far apart whose clocks show the world's time."""

    def __init__(self, loss: float = 0.0, seed: int = 1) -> None:
        self.brains: dict[NodeId, Recorder] = {}
        self.world = World(seed, [NEAR, FAR], self.make, loss=loss)
        self.a, self.b = self.world.hosts
        for host in self.world.hosts:
            host.clock_offset_s, host.clock_rate = 0.0, 1.0
            self.world.start(host)

    def make(self, own: Facts, settings: Settings, rng: Random, now_s: float) -> Recorder:
        self.brains[own.node] = Recorder(own, settings, rng, now_s)
        return self.brains[own.node]

    def do(self, action: Action) -> None:
        """Lets `a` perform an action now."""
        self.brains[self.a.id].to_do.append(action)
        self.world.post(self.a, FactsChanged(self.a.facts()))

    def saw(self, node: NodeId, kind: type) -> list[tuple[float, Event]]:
        return [(at_s, event) for at_s, event in self.brains[node].seen if isinstance(event, kind)]

    def watched(self) -> "Pair":
        self.do(OpenWatch(self.b.id))
        opened = self.world.run_until(lambda: bool(self.saw(self.a.id, WatchOpened)), 60)
        assert opened
        return self


def test_a_stream_costs_three_round_trips_and_a_message_on_it_half_of_one() -> None:
    pair = Pair().watched()
    opened_s = pair.saw(pair.a.id, WatchOpened)[0][0]
    assert 3 * RTT_S < opened_s < 3.5 * RTT_S
    sent_s = pair.world.now_s
    pair.do(Send(pair.b.id, Probe(1, 0.0)))
    pair.world.run(1)
    assert RTT_S / 2 < pair.saw(pair.b.id, Received)[0][0] - sent_s < RTT_S


def test_without_a_stream_a_message_costs_handshakes_first() -> None:
    pair = Pair()
    pair.do(Send(pair.b.id, News(())))
    pair.world.run(1)
    assert 2.5 * RTT_S < pair.saw(pair.b.id, Received)[0][0] < 3 * RTT_S
    assert pair.a.calls_made == 1


def test_messages_of_a_stream_keep_their_order_under_heavy_loss_and_none_is_lost() -> None:
    pair = Pair(loss=0.3).watched()
    for number in range(200):
        pair.do(Send(pair.b.id, Probe(number, 0.0)))
        pair.world.run(0.01)
    pair.world.run(120)
    events = [event for _, event in pair.saw(pair.b.id, Received)]
    numbers = [e.message.sequence for e in events if isinstance(e, Received)]  # type: ignore[union-attr]
    assert numbers == list(range(200))
    times = [at_s for at_s, _ in pair.saw(pair.b.id, Received)]
    assert max(b - a for a, b in pairwise(times)) > 0.2  # They came late.


def test_a_killed_process_breaks_its_stream_and_refuses_the_next_dial() -> None:
    pair = Pair().watched()
    killed_s = pair.world.now_s
    faults.kill(pair.world, pair.b)
    pair.world.run(2)
    (first_s, first), (second_s, second) = pair.saw(pair.a.id, WatchBroke)[:2]
    assert first == WatchBroke(pair.b.id, refused=False)
    assert second == WatchBroke(pair.b.id, refused=True)
    assert first_s - killed_s < RTT_S
    assert RTT_S < second_s - first_s < 1.5 * RTT_S


def test_a_machine_that_fell_silent_breaks_nothing_until_data_is_unacknowledged_for_long() -> None:
    pair = Pair().watched()
    faults.silence(pair.world, pair.b)
    pair.do(Send(pair.b.id, Probe(1, 0.0)))
    silent_s = pair.world.now_s
    pair.world.run(60)
    broke = pair.saw(pair.a.id, WatchBroke)
    assert broke[0][0] - silent_s >= wire.USER_TIMEOUT_S
    assert not any(event.refused for _, event in broke if isinstance(event, WatchBroke))


def test_a_paused_process_gets_all_at_once_when_it_wakes() -> None:
    pair = Pair().watched()
    pair.world.pause(pair.b, 2.0)
    wakes_s = pair.world.now_s + 2.0
    for number in range(5):
        pair.do(Send(pair.b.id, Probe(number, 0.0)))
        pair.world.run(0.1)
    assert pair.saw(pair.b.id, Received) == []
    pair.world.run(3)
    assert {at_s for at_s, _ in pair.saw(pair.b.id, Received)} == {wakes_s}
    assert len(pair.saw(pair.b.id, Received)) == 5


def test_what_was_sent_into_a_short_cut_arrives_after_it() -> None:
    pair = Pair().watched()
    faults.split(pair.world, [pair.a])
    pair.do(Send(pair.b.id, Probe(1, 0.0)))
    pair.world.run(5)
    assert pair.saw(pair.b.id, Received) == []
    faults.heal(pair.world)
    pair.world.run(10)
    assert len(pair.saw(pair.b.id, Received)) == 1
    assert pair.saw(pair.a.id, WatchBroke) == []


def test_a_one_way_cut_passes_the_other_way() -> None:
    pair = Pair().watched()
    faults.one_way(pair.world, pair.b, pair.a)
    pair.do(Send(pair.b.id, Probe(1, 0.0)))
    pair.world.run(1)
    assert len(pair.saw(pair.b.id, Received)) == 1
    pair.world.run(30)  # No acknowledgement comes back: in the end the stream breaks.
    assert len(pair.saw(pair.a.id, WatchBroke)) >= 1


def test_a_restarted_process_knows_nothing_of_old_streams() -> None:
    pair = Pair().watched()
    faults.silence(pair.world, pair.b)
    pair.do(Send(pair.b.id, Probe(1, 0.0)))
    pair.world.run(3)
    pair.world.start(pair.b)
    pair.world.run(10)
    assert pair.saw(pair.b.id, Received) == []  # The new process; it resets the old stream.
    assert len(pair.saw(pair.a.id, WatchBroke)) == 1
    assert len(pair.saw(pair.a.id, WatchOpened)) == 2
