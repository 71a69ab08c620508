"""A cluster that a delivery plays against: it obeys actions, checks each, and answers with facts.

What it counts, it counts by itself: by what disks hold, and not by what the delivery believes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from random import Random

from coordinator.electorate import Ask
from coordinator.placement import elect
from coordinator.policy import Level, Policy, PolicyImpossible
from coordinator.types import Domain, Knowing, Member, NodeId
from nodeagent.core.delivery import Delivery
from nodeagent.core.delivery_tree import Cost
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
    GiveUp,
    Goal,
    HolderFailed,
    Patience,
    Push,
    Reached,
    Safe,
    Seen,
    Send,
    Short,
)
from tests.support.worlds import ask, world

PATIENCE = Patience(tries_max=5)


@dataclass
class Play:
    """`elect_again` by hand, `facts` by hand; `actions` is all that the delivery asked for."""

    members: list[Member]
    policy: Policy = field(default_factory=Policy)
    ack_copies: int = 2
    source: NodeId = ""
    holders: tuple[NodeId, ...] = ()
    at: Domain = field(default_factory=lambda: Domain("aws", "us-east-1", "a"))
    seed: int = 1
    key: str = "task-1"
    now_s: float = 100.0
    actions: list[Action] = field(default_factory=list)
    busy: dict[NodeId, NodeId] = field(default_factory=dict)  # Asked now: by whom it is fed.
    asked: list[NodeId] = field(default_factory=list)
    disks: dict[str, NodeId] = field(default_factory=dict)  # Volumes with a copy that was told.
    away: set[NodeId] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.world = world(self.members)
        self.question = self._question()
        self.election = elect(self.question, self.world)
        goal = Goal(self.policy, self.ack_copies)
        rng = Random(self.seed)
        self.delivery = Delivery(goal, self.election, self.cost, rng=rng, patience=PATIENCE)

    def _question(self) -> Ask:
        question = ask(self.at, self.key, self.policy)
        return replace(question, source_node=self.source, holders=self.holders)

    def cost(self, a: Domain, b: Domain) -> Cost:
        return Cost(self.world.prices.usd_per_gb(a, b), self.world.rtt_ms(a, b))

    # -- What the delivery is told

    def begin(self, *known: Copy) -> list[Action]:
        for copy in known:
            self.disks[copy.volume] = copy.node
        return self._obey(self.delivery.begin(self.now_s, known))

    def tell(self, *events: Event, after_s: float = 0.01) -> list[Action]:
        self.now_s += after_s
        for event in events:
            self._note(event)
        return self._obey(self.delivery.step(events, self.now_s))

    def sleep(self) -> list[Action]:
        """Until the delivery wants to be woken."""
        wake_s = self.delivery.wake_s
        assert wake_s is not None
        self.now_s = max(self.now_s, wake_s)
        return self._obey(self.delivery.step((), self.now_s))

    def stored(self, *nodes: NodeId, after_s: float = 0.01) -> list[Action]:
        return self.tell(*(Copy(node, volume_of(node)) for node in nodes), after_s=after_s)

    def failed(self, *nodes: NodeId, reason: str = "NO_ROOM") -> list[Action]:
        return self.tell(*(Failed(node, reason, "as the test wants it") for node in nodes))

    def elect_again(self, request: ElectAgain) -> Elected:
        question = replace(self._question(), holders=request.holders)
        members = [self._seen(member) for member in self.members]
        now = replace(world(members), unfit=request.refused)
        try:
            return Elected(elect(question, now))
        except PolicyImpossible as impossible:
            return Elected(None, str(impossible))

    def _seen(self, member: Member) -> Member:
        return replace(member, knowing=Knowing.DOWN) if member.id in self.away else member

    def _note(self, event: Event) -> None:
        match event:
            case Copy(node, volume):
                self.busy.pop(node, None)
                self.disks.setdefault(volume, node)
            case Failed(node):
                self.busy.pop(node, None)
            case HolderFailed(_, nodes):
                for node in nodes:
                    self.busy.pop(node, None)
            case Away(node):
                self.away.add(node)
            case Seen(node, volumes):
                self.away.discard(node)
                gone = [v for v, n in self.disks.items() if n == node and v not in volumes]
                for volume in gone:
                    del self.disks[volume]

    # -- What it asks for

    def _obey(self, actions: list[Action]) -> list[Action]:
        for action in actions:
            match action:
                case Send(local, branches):
                    assert not self.asked, "the chunk is sent from the source once"
                    if local:
                        self._ask(Branch(self.source), "the source")
                    for branch in branches:
                        self._ask(branch, "the source")
                case Push(holder, branches):
                    assert holder in self.disks.values(), "who pushes has the chunk"
                    assert holder not in self.away
                    for branch in branches:
                        self._ask(branch, holder)
                case ElectAgain(holders, refused):
                    assert not set(holders) & refused.keys()
                case Acked(reached):
                    self._check(reached, self.disks.values(), Goal(self.policy, self.ack_copies))
                case Safe(reached):
                    there = [n for n in self.disks.values() if n not in self.away]
                    self._check(reached, there, Goal(self.policy, self.policy.replicas))
                    assert reached.safe
                    assert reached.acked
                case Short(reached):
                    assert not reached.safe
                    assert reached.missing
                case GiveUp(node):
                    assert node in self.busy
        self.actions += actions
        return actions

    def _ask(self, branch: Branch, by: NodeId) -> None:
        node = branch.node
        assert node not in self.busy, f"{node} is asked while it is at work"
        held = {n for v, n in self.disks.items() if n not in self.away}
        assert node not in held, f"{node} has a copy already"
        self.busy[node] = by
        self.asked.append(node)
        for child in branch.children:
            self._ask(child, node)

    def _check(self, reached: Reached, nodes: Iterable[NodeId], goal: Goal) -> None:
        """Not by the brain's own words: by sets of domains."""
        there = set(nodes)
        where = {m.id: m.facts.domain for m in self.members if m.facts and m.id in there}
        count = min(goal.ack_copies, goal.policy.replicas)
        assert len(where) >= count
        places = {
            Level.CLOUD: {d.cloud for d in where.values()},
            Level.REGION: {(d.cloud, d.region) for d in where.values()},
            Level.ZONE: {(d.cloud, d.region, d.zone or n) for n, d in where.items()},
            Level.NODE: set(where),
        }
        for level, wanted in goal.policy.spread:
            assert len(places[level]) >= min(wanted, count)
        assert {copy.volume for copy in reached.copies} == set(self.disks)

    def only(self, kind: type) -> list[Action]:
        return [action for action in self.actions if isinstance(action, kind)]

    @property
    def targets(self) -> list[NodeId]:
        return [seat.node for seat in self.election.targets]


def volume_of(node: NodeId, age: int = 0) -> str:
    return f"volume-{node}-{age}"
