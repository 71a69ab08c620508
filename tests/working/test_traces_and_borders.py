"""What a task leaves behind: a trace whose parts hang together, bytes over borders, breakers."""

from dataclasses import replace
from random import Random

import pytest

from coordinator.electorate import Ask
from coordinator.placement import Election, elect
from coordinator.policy import Level, Policy
from coordinator.types import Domain, View
from nodeagent.core.breaker import Breakers, BreakerSettings
from nodeagent.core.delivery_tree import Cost
from nodeagent.core.delivery_words import Copy, Failed, Reached
from nodeagent.jobs.working.sending import CarefulBrain, Sender
from nodeagent.telemetry import Telemetry
from nodeagent.wire.deliver import Delivered
from tests.support.nodes import Running, until
from tests.support.sender import Silent
from tests.support.worlds import NEAR_VIRGINIA, ask, spread_out, view, world
from tests.working.workbench import bench

TRACE = "ab" * 16
PARENT = f"00-{TRACE}-{'cd' * 8}-01"


async def test_a_chunk_has_a_trace_of_its_own_linked_to_its_job(trio: list[Running]) -> None:
    telemetry = trio[0].node.deliverer.ground.watcher
    assert isinstance(telemetry, Telemetry)
    async with bench(trio, {"a": b"data"}, watcher=telemetry, traceparent=PARENT) as work:
        work.steward.give(*work.tasks())
        (result,) = await work.done(1)
        await until(work.ledger.safe)
    assert result.trace_id != TRACE
    spans = telemetry.seen(result.trace_id)
    (root,) = [span for span in spans if span.name == "chunk"]
    assert not root.parent_id
    assert root.linked_trace_ids == (TRACE,)
    assert root.facts["chunks"] == result.chunks[0].id.hex()
    below = {span.name for span in spans if span.parent_id == root.span_id}
    assert below >= {"chunk.ingest", "chunk.seal", "chunk.deliver", "chunk.fact"}
    assert [stage.stage for stage in result.stages] == ["ingest", "seal", "send"]
    assert sum(stage.seconds for stage in result.stages) == pytest.approx(result.seconds)
    assert result.stages[0].bytes == result.stages[1].bytes == 4


class Brain:
    def __init__(self) -> None:
        self.members = spread_out(NEAR_VIRGINIA, ["a", "b"])
        self.unfit: list[str] = []

    def view(self) -> View:
        return view(self.members)

    def cost(self, a: Domain, b: Domain) -> Cost:
        return Cost(0.0 if a.cloud == b.cloud else 0.09, 1.0)

    def elect(self, ask: Ask, unfit: object) -> Election:
        self.unfit = sorted(unfit)  # type: ignore[call-overload]
        return elect(ask, world(self.members, unfit))  # type: ignore[arg-type]


def sender(brain: Brain, clock_s: float = 0.0) -> Sender:
    breakers = Breakers(BreakerSettings(failures=2))
    careful = CarefulBrain(brain, lambda: clock_s, breakers)
    own = brain.members[0].id
    deliverer = None
    return Sender(deliverer, careful, own, "job", Policy(), 2, Silent(), Random(1))  # type: ignore[arg-type]


def delivered(election: Election, *nodes: str, failed: str = "") -> Delivered:
    failures = (Failed(failed, "STALLED"),) if failed else ()
    copies = tuple(Copy(node, "v") for node in nodes)
    return Delivered(b"c", Reached(copies, True, True, "", failures), election)


def elected(brain: Brain) -> Election:
    where = brain.members[0].facts
    assert where
    wanted = replace(ask(where.domain, "k", Policy(3)), source_node=brain.members[0].id)
    return brain.elect(wanted, {})


def test_bytes_cross_a_border_once_for_each_cloud_and_never_inside() -> None:
    brain = Brain()
    sending = sender(brain)
    clouds = {m.id: m.facts.domain.cloud for m in brain.members if m.facts}
    own = brain.members[0].id
    home = [node for node in clouds if clouds[node] == clouds[own]]
    away = [node for node in clouds if clouds[node] != clouds[own]]
    same = [node for node in away if clouds[node] == clouds[away[0]]]
    election = elected(brain)
    assert sending.borders(delivered(election, own, *home[1:]), 100) == {}
    over = sending.borders(delivered(election, own, *same), 100)
    assert sum(crossed.bytes for crossed in over.values()) == 100
    assert sum(crossed.usd for crossed in over.values()) == pytest.approx(100 * 0.09 / 1e9)
    before = [Copy(own, "v"), Copy(same[0], "v")]
    assert sending.borders(delivered(election, own, *same), 100, before) == {}


def test_a_relay_that_is_not_done_yet_has_brought_the_bytes_over_the_border_once() -> None:
    brain = Brain()
    sending = sender(brain)
    own = brain.members[0].id
    clouds = {m.id: m.facts.domain.cloud for m in brain.members if m.facts}
    away = [node for node in clouds if clouds[node] != clouds[own]]
    relay, behind = [node for node in away if clouds[node] == clouds[away[0]]][:2]
    edge = elected(brain).tree[0]
    way = replace(edge, source=own, target=relay), replace(edge, source=relay, target=behind)
    election = replace(elected(brain), tree=way)
    first = delivered(election, own, behind)
    assert sending.borders(first, 100) == {}
    over = sending.borders(delivered(election, own, relay, behind), 100, first.reached.copies)
    assert sum(crossed.bytes for crossed in over.values()) == 100
    pushed = sending.borders(delivered(election, own, behind, failed=relay), 100)
    assert sum(crossed.bytes for crossed in pushed.values()) == 100


def test_a_node_that_fails_again_and_again_is_passed_by_while_others_will_do() -> None:
    brain = Brain()
    sending = sender(brain)
    election = elected(brain)
    bad = brain.members[3].id
    for _ in range(2):
        sending._learn(delivered(election, brain.members[0].id, failed=bad))
    found = sending.brain.elect(election.ask, {})
    assert brain.unfit == [bad]
    assert bad not in [seat.node for seat in found.targets]
    sending._learn(delivered(election, bad))
    sending.brain.elect(election.ask, {})
    assert brain.unfit == []


def test_after_a_pause_it_is_tried_with_one_chunk_at_a_time() -> None:
    brain = Brain()
    brain.members = brain.members[:4]
    sending = sender(brain)
    where = brain.members[0].facts
    assert where
    wanted = ask(where.domain, "k", Policy(4, ((Level.NODE, 4),)))
    bad = brain.members[3].id
    for _ in range(2):
        sending._learn(delivered(elected(brain), failed=bad))
    sending.brain.clock_s = lambda: 1.0
    assert bad in [seat.node for seat in sending.brain.elect(wanted, {}).targets]
    assert not sending.brain.breakers.allows(bad, 1.0)
    sending._learn(delivered(elected(brain), bad))
    assert sending.brain.breakers.allows(bad, 1.0)


def test_when_no_others_are_left_it_is_asked_after_all() -> None:
    brain = Brain()
    brain.members = brain.members[:3]
    sending = sender(brain)
    policy = Policy(3, ((Level.NODE, 3),))
    where = brain.members[0].facts
    assert where
    wanted = ask(where.domain, "k", policy)
    election = brain.elect(wanted, {})
    for _ in range(2):
        sending._learn(delivered(election, failed=brain.members[1].id))
    assert len(sending.brain.elect(wanted, {}).targets) == 3
