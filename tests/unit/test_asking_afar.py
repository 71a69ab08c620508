"""A region in which a node watches nobody is measured beside the watch, over a way that stands."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from random import Random

from coordinator.actions import Tell
from coordinator.messages import Answer, Message, Probe
from coordinator.settings import Settings
from coordinator.types import Coordinate, Domain, Facts, Knowing, Member, NodeId, Record, View
from nodeagent.driver import PRIMING, Driver

OWN, NEAR, FAR = "own", "near", "far"
AT = {
    OWN: Domain("aws", "us-east-1"),
    NEAR: Domain("gcp", "us-central1"),
    FAR: Domain("azure", "japaneast"),
}


class Body:
    def facts(self) -> Facts:
        return Facts(OWN, 1, 1, OWN, AT[OWN])

    def save_generation(self, generation: int) -> None: ...
    def told(self, what: Tell) -> None: ...
    def saved_coordinate(self) -> Coordinate | None:
        return None

    def save_coordinate(self, coordinate: Coordinate) -> None: ...
    def kernel_rtts_ms(self, nodes: Collection[NodeId]) -> Mapping[NodeId, float]:
        return {}


@dataclass
class Links:
    """Remembers what is sent."""

    sent: list[tuple[NodeId, Probe]] = field(default_factory=list)

    def open(self, subject: NodeId) -> None: ...
    def close(self, subject: NodeId) -> None: ...
    def send(self, to: NodeId, message: Message) -> None:
        assert isinstance(message, Probe)
        self.sent.append((to, message))


def member(node: str, knowing: Knowing = Knowing.ALIVE) -> Member:
    return Member(Record(node, 1), knowing, Facts(node, 1, 1, node, AT[node]), 0.0)


def driver(*others: Member) -> tuple[Driver, Links]:
    links = Links()
    made = Driver(Body(), Settings(), Random(1), lambda a, b: 100.0, links)
    made._loop = asyncio.get_running_loop()
    members = {one.id: one for one in (member(OWN), *others)}
    made._view = View(OWN, members, neighbours=frozenset({NEAR}))
    made.latency.sample(NEAR, AT[NEAR], 30.0, made._loop.time())
    return made, links


async def test_a_far_region_is_asked_once_to_dial_and_then_to_measure() -> None:
    asking, links = driver(member(NEAR), member(FAR))
    assert asking._loop
    await asking._ask_afar()
    await asking._ask_afar()
    assert [to for to, _ in links.sent] == [FAR] * 3
    priming, *measuring = [probe for _, probe in links.sent]
    assert priming.sequence == PRIMING
    assert all(probe.sequence != PRIMING for probe in measuring)

    now_s = asking._loop.time()
    asking._measure(FAR, Answer(PRIMING, now_s - 0.9, Record(FAR, 1)), now_s)
    assert asking.latency.measured(FAR, now_s) is None, "that one had to dial"
    asking._measure(FAR, Answer(measuring[0].sequence, now_s - 0.15, Record(FAR, 1)), now_s)
    measured = asking.latency.measured(FAR, now_s)
    assert measured is not None
    assert abs(measured.ms - 150) < 0.01


async def test_who_is_watched_or_dead_is_not_asked() -> None:
    asking, links = driver(member(NEAR), member(FAR, Knowing.DEAD))
    await asking._ask_afar()
    assert links.sent == []
