"""Deliveries in clusters where anything happens in any order: the promises hold, and each ends.

The cluster in play checks every action by itself: no node is asked twice at once, nobody pushes
what he has not, acked and safe hold by the sets of domains on the disks.
"""

from dataclasses import dataclass, field
from random import Random

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coordinator.policy import Level, Policy, Site, shortfall, spread_of
from coordinator.types import Member
from nodeagent.core.delivery_words import (
    Away,
    Copy,
    ElectAgain,
    Event,
    Failed,
    GiveUp,
    HolderFailed,
    Push,
    Safe,
    Seen,
    Send,
    Short,
)
from tests.support.worlds import NEAR_VIRGINIA, domain, member, spread_out
from tests.unit.delivery.cluster_in_play import Play, volume_of

REASONS = ("NO_ROOM", "TOO_BUSY", "UNREACHABLE", "VOLUME_FAILED", "STALLED", "UNSUPPORTED")
STEPS_MAX = 2000

policies = st.sampled_from(
    [
        Policy(),
        Policy(1, spread_of(1, {})),
        Policy(2, spread_of(2, {})),
        Policy(3, spread_of(3, {Level.CLOUD: 3})),
        Policy(3, spread_of(3, {Level.NODE: 3})),
        Policy(4, spread_of(4, {Level.REGION: 2})),
    ]
)
WORLDS = [
    spread_out(NEAR_VIRGINIA, "ab"),
    spread_out(NEAR_VIRGINIA, "abcd"),
    spread_out(NEAR_VIRGINIA, "a", each=2),
    [member(n + 1, domain(p, "")) for n, p in enumerate((*NEAR_VIRGINIA, *NEAR_VIRGINIA))],
]


@dataclass
class Weather:
    """What happens next, as chance will have it."""

    play: Play
    chance: Random
    failing: float
    dying: float
    asked_again: list[ElectAgain] = field(default_factory=list)
    disks: dict[str, int] = field(default_factory=dict)  # How often each node's was replaced.
    failures: int = 0

    def run(self) -> None:
        self._look(self.play.begin())
        for _ in range(STEPS_MAX):
            if self.play.delivery.over:
                return
            events = self._events()
            if events:
                after_s = self.chance.choice((0.0, 0.01, 1.0, 20.0))
                self._look(self.play.tell(*events, after_s=after_s))
            elif self.play.delivery.wake_s is not None:
                self._look(self.play.sleep())
            else:
                self._look(self.play.tell(*self._returns()))
        raise AssertionError("it does not end")

    def _look(self, actions: list[object]) -> None:
        self.asked_again += [a for a in actions if isinstance(a, ElectAgain)]

    def _events(self) -> list[Event]:
        """Some at once, as a driver hands over what came meanwhile. None: time passes."""
        found: list[Event] = []
        for _ in range(self.chance.choice((0, 1, 1, 1, 2, 4))):
            found += self._one([getattr(event, "node", "") for event in found])
        return found

    def _one(self, taken: list[str]) -> list[Event]:
        if self.chance.random() < self.dying:
            return self._death(taken)
        if self.asked_again and self.chance.random() < 0.5:
            return [self.play.elect_again(self.asked_again.pop())]
        busy = sorted(set(self.play.busy) - set(taken))
        if not busy:
            return []
        return self._answer(self.chance.choice(busy))

    def _answer(self, node: str) -> list[Event]:
        if node in self.play.away or self.chance.random() < self.failing:
            return self._failure(node)
        return [Copy(node, volume_of(node, self.disks.get(node, 0)), self.chance.random() < 0.1)]

    def _failure(self, node: str) -> list[Event]:
        self.failures += 1
        by = self.play.busy[node]
        if by in self.play.disks.values() and self.chance.random() < 0.2:
            return [HolderFailed(by, (node,), "UNREACHABLE")]
        retry_after_s = self.chance.choice((None, 0.5, 30.0))
        return [Failed(node, self.chance.choice(REASONS), "chance", retry_after_s)]

    def _death(self, taken: list[str]) -> list[Event]:
        node = self.chance.choice([m.id for m in self.play.members])
        if node in taken:
            return []
        self.failures += 1
        if node not in self.play.away:
            return [Away(node, "its process is gone")]
        if self.chance.random() < 0.3:
            self.disks[node] = self.disks.get(node, 0) + 1
        return [Seen(node, frozenset({volume_of(node, self.disks.get(node, 0))}))]

    def _returns(self) -> list[Event]:
        """Nothing else can happen: somebody must be at work."""
        if self.asked_again:
            return [self.play.elect_again(self.asked_again.pop())]
        assert self.play.busy, "nothing is awaited, and it goes on"
        return self._answer(min(self.play.busy))


def possible(members: list[Member], policy: Policy) -> bool:
    """The brain refuses the rest before anything is sent."""
    sites = [Site(m.facts.domain, m.id) for m in members if m.facts]
    return len(sites) >= policy.replicas and not any(shortfall(policy, sites))


@settings(deadline=None, max_examples=200)
@given(
    st.integers(0, 3),
    policies,
    st.integers(1, 4),
    st.randoms(use_true_random=False),
    st.sampled_from([0.0, 0.2, 0.6, 0.95]),
    st.sampled_from([0.0, 0.05, 0.3]),
    st.booleans(),
)
def test_whatever_happens_the_promises_hold_and_it_ends(
    which: int,
    policy: Policy,
    ack_copies: int,
    chance: Random,
    failing: float,
    dying: float,
    from_node: bool,
) -> None:
    members = WORLDS[which]
    source = members[0].id if from_node else ""
    assume(possible(members, policy))
    play = Play(members, policy, ack_copies, source, seed=chance.randrange(1 << 16))
    weather = Weather(play, chance, failing, dying)
    weather.run()
    assert len(play.only(Send)) == 1
    assert len(play.only(Safe)) + len(play.only(Short)) == 1
    troubles = weather.failures + len(play.only(GiveUp))
    if not troubles:
        # The shortest way: the tree of the brain and nothing else.
        assert play.only(Safe)
        assert not play.only(Push)
        assert not play.only(ElectAgain)
        assert sorted(play.asked) == sorted(play.targets)
    assert len(play.asked) <= policy.replicas + troubles + len(play.only(ElectAgain)) * 4
