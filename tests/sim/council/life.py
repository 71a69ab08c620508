"""One life of a council: clients that change and read registers, rivals that change its members,
a network that loses, doubles and reorders, nodes that crash and disks that are lost. One seed is
one life.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random

from coordinator.council.acceptor import Acceptor, Memory, Unsaved
from coordinator.council.ballots import Blocked, Change, Decided, Moved, Outcome, Sent, Try
from coordinator.council.registers import (
    NEXT_KEY,
    Answer,
    Ballot,
    Epoch,
    Install,
    Request,
    Seat,
    members_of,
    members_value,
)
from coordinator.council.succession import Succession
from tests.sim.council.history import Seen, violations
from tests.sim.linear import Told, untrue

TIMEOUT_S, BACKOFF_S_MAX = 0.5, 0.4
KEYS = ("name/a", "job/b")
LIFE_S = 40.0


@dataclass(frozen=True, slots=True)
class Rules:
    """What production code a life is made of; planted bugs take its place."""

    acceptor: Callable[[Memory], Acceptor] = Acceptor
    attempt: Callable[[Epoch, Change, Ballot], Try] = Try
    succession: Callable[[Epoch, tuple[Seat, ...]], Succession] = Succession
    ballot: Callable[[int, int, str], Ballot] = Ballot
    saves: Callable[[Unsaved], bool] = bool  # Whether what an answer rests on goes to the disk.
    new_disk_is_new: bool = True  # A member that lost its disk is somebody else.


@dataclass(slots=True)
class Member:
    """A node with a disk: what is saved survives a crash, what is not does not."""

    node: str
    disks: int = 0
    saved: Memory = field(default_factory=Memory)
    acceptor: Acceptor | None = None
    up: bool = True

    @property
    def seat(self) -> Seat:
        return Seat(self.node, f"{self.node}-{self.disks}")


class Life:
    def __init__(self, seed: int, rules: Rules = Rules()) -> None:
        self.rng = Random(seed)
        self.rules = rules
        self.now_s = 0.0
        self.history: list[Seen] = []
        self.told: list[Told] = []
        self.epochs_opened = 0
        self.loss = self.rng.choice((0.0, 0.05, 0.2, 0.35))
        self.doubled = self.rng.choice((0.0, 0.1, 0.3))
        self.members = {f"n{i}": Member(f"n{i}") for i in range(self.rng.choice((3, 5, 6, 7)))}
        self.clients = [Client(self, f"c{i}") for i in range(self.rng.randint(2, 4))]
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        for member in self.members.values():
            self._boot(member)
        first = next(iter(self.members.values()))
        assert first.acceptor is not None
        self.founded = Epoch(1, (first.seat,))
        first.acceptor.answer(Install(self.founded, {}))
        first.saved = _copy(first.acceptor.memory)

    def run(self) -> list[str]:
        for client in self.clients:
            client.epoch = self.founded
            self.later(self.rng.random(), client.act)
        for _ in range(self.rng.randint(0, 6)):
            self.later(self.rng.uniform(1, LIFE_S * 0.7), self._disturb)
        self.later(self.rng.random(), self._bring_up)
        while self._heap and self.now_s < LIFE_S:
            self.now_s, _, work = heapq.heappop(self._heap)
            work()
        unanswered = [client.open for client in self.clients if client.open is not None]
        return violations(self.history) + untrue([*self.told, *unanswered])

    def later(self, in_s: float, work: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (self.now_s + in_s, self._count, work))

    def send(self, seat: Seat, request: Request, answered: Callable[[Answer], None]) -> None:
        """Whatever the network does with it; doubled messages come with doubled answers."""
        copies = 2 if self.rng.random() < self.doubled else 1
        for _ in range(copies):
            if self.rng.random() >= self.loss:
                delay_s = self.rng.expovariate(1 / 0.05)
                self.later(delay_s, partial(self._arrives, seat, request, answered))

    def _arrives(self, seat: Seat, request: Request, answered: Callable[[Answer], None]) -> None:
        member = self.members[seat.node]
        if not member.up or member.acceptor is None:
            return
        if member.seat != seat and self.rules.new_disk_is_new:
            return  # The old disk's name is never answered from empty memory.
        answer, unsaved = member.acceptor.answer(request)
        if self.rng.random() < 0.02:
            self._crash(member)  # Before it is on the disk: nobody hears it.
            return
        if self.rules.saves(unsaved):
            member.saved = _copy(member.acceptor.memory)
        if self.rng.random() < 0.02:
            self._crash(member)
            return
        if self.rng.random() >= self.loss:
            self.later(self.rng.expovariate(1 / 0.05), partial(answered, answer))

    def _crash(self, member: Member) -> None:
        member.up, member.acceptor = False, None
        self.later(self.rng.uniform(0.1, 3.0), partial(self._boot, member))

    def _boot(self, member: Member) -> None:
        member.up = True
        member.acceptor = self.rules.acceptor(_copy(member.saved))

    def _disturb(self) -> None:
        """A node crashes; a disk is lost, of one member at most while the others are sound."""
        newest = max((m.saved.epoch for m in self.members.values()), key=lambda e: e.number)
        member = self.members[self.rng.choice(newest.members).node]
        if self.rng.random() < 0.5:
            self._crash(member)
        elif not any(m.disks for m in self.members.values()) and self._can_lose(member):
            member.disks += 1
            member.saved = Memory()
            self._crash(member)

    def _bring_up(self) -> None:
        """A member gives another one of its epoch what lies with it, in case that missed it."""
        member = self.members[self.rng.choice([*self.members])]
        if member.up and member.acceptor is not None and member.acceptor.open:
            epoch = member.acceptor.memory.epoch
            accepted = member.acceptor.registers().items()
            install = Install(epoch, {key: a for key, a in accepted if key != NEXT_KEY})
            self.send(self.rng.choice(epoch.members), install, lambda _: None)
        self.later(self.rng.expovariate(1.0), self._bring_up)

    def _can_lose(self, loser: Member) -> bool:
        """Without it a majority of the newest epoch is left that has opened it."""
        newest = max((m.saved.epoch for m in self.members.values()), key=lambda e: e.number)
        others = [m for m in self.members.values() if m is not loser and m.seat in newest.members]
        return sum(m.saved.epoch == newest for m in others) >= newest.majority


class Client:
    """Somebody who decides: tries again with the same operation until it is told how it ended."""

    def __init__(self, life: Life, name: str) -> None:
        self.life, self.name = life, name
        self.epoch = Epoch()
        self._round = 0
        self._operations = 0
        self._versions: dict[str, int] = {}
        self.open: Told | None = None  # A change that it waits for.

    def act(self) -> None:
        rng = self.life.rng
        self._operations += 1
        if rng.random() < 0.15:
            self._replace_members()
            return
        key = rng.choice(KEYS)
        change = Change(key)
        if rng.random() < 0.7:
            operation = f"{self.name}-{self._operations}"
            change = Change(key, self._versions.get(key, 0), operation.encode(), operation)
        begun_s = self.life.now_s
        if not change.reads:
            self.open = Told(key, begun_s, expected=change.expected, wanted=change.value)
        self._decide(change, lambda decided: self._told(change, begun_s, decided))

    def _rest(self) -> None:
        self.life.later(self.life.rng.expovariate(2.0), self.act)

    def _told(self, change: Change, begun_s: float, decided: Decided) -> None:
        changed, state = decided.version is not None, decided.state
        version = decided.version if decided.version is not None else state.version
        value = change.value if changed else state.value
        ended_s = self.life.now_s
        self.life.history.append(
            Seen(change.key, begun_s, ended_s, version, value, changed, change.operation)
        )
        expected = None if change.reads else change.expected
        self.life.told.append(
            Told(change.key, begun_s, ended_s, version, value, expected, change.value, changed)
        )
        self.open = None
        self._versions[change.key] = state.version
        self._rest()

    def _decide(self, change: Change, then: Callable[[Decided], None]) -> None:
        self._round += 1
        attempt = self.life.rules.attempt(
            self.epoch, change, self.life.rules.ballot(self.epoch.number, self._round, self.name)
        )
        self._ask(attempt.begin(), attempt.heard, lambda: attempt.outcome)

        def look() -> None:
            outcome = attempt.outcome or attempt.given_up()
            if isinstance(outcome, Decided):
                then(outcome)
                return
            self._learn(outcome)
            wait_s = self.life.rng.uniform(0, BACKOFF_S_MAX)
            if isinstance(outcome, Blocked) and outcome.sealed and change.key != NEXT_KEY:
                self._decide(Change(NEXT_KEY), self._succeed(lambda: self._decide(change, then)))
                return
            self.life.later(wait_s, lambda: self._decide(change, then))

        self._when_over(lambda: attempt.outcome is not None, look)

    def _learn(self, outcome: Outcome) -> None:
        match outcome:
            case Blocked(round=round_):
                self._round = max(self._round, round_)
            case Moved(epoch=epoch) if epoch.number > self.epoch.number:
                self.epoch = epoch
            case _:
                pass

    def _replace_members(self) -> None:
        """Any members at all: the choice is somebody else's matter."""
        rng = self.life.rng
        now = [m.seat for m in self.life.members.values() if m.up]
        size = rng.choice([s for s in (3, 5) if s <= len(self.life.members)])
        if len(now) < size:
            self._rest()
            return
        wanted = members_value(tuple(sorted(rng.sample(now, size))))
        change = Change(NEXT_KEY, 0, wanted, f"{self.name}-{self._operations}")
        self._decide(change, self._succeed(self._rest))

    def _succeed(self, then: Callable[[], None]) -> Callable[[Decided], None]:
        """Finishes the change of members that is decided; whose idea it was is the same."""

        def finish(decided: Decided) -> None:
            if not decided.state.version:
                then()
                return
            self._install(members_of(decided.state.value), then)

        return finish

    def _install(self, members: tuple[Seat, ...], then: Callable[[], None]) -> None:
        succession = self.life.rules.succession(self.epoch, members)
        old = self.epoch
        self._ask(succession.begin(), succession.heard, lambda: succession.outcome)

        def look() -> None:
            if succession.outcome is not None:
                self.life.epochs_opened += 1
                self._learn(succession.outcome)
                then()
            elif self.epoch != old:
                then()
            else:
                wait_s = self.life.rng.uniform(0, BACKOFF_S_MAX)
                self.life.later(wait_s, lambda: self._install(members, then))

        self._when_over(lambda: succession.outcome is not None, look)

    def _ask(
        self,
        sent: list[Sent],
        heard: Callable[[Seat, Answer], list[Sent]],
        outcome: Callable[[], object],
    ) -> None:
        for seat, request in sent:

            def answered(answer: Answer, seat: Seat = seat) -> None:
                if outcome() is None:
                    self._ask(heard(seat, answer), heard, outcome)

            self.life.send(seat, request, answered)

    def _when_over(self, over: Callable[[], bool], then: Callable[[], None]) -> None:
        """At once when it is decided, and after a while when it is not."""
        ends_s = self.life.now_s + TIMEOUT_S

        def look() -> None:
            if over() or self.life.now_s >= ends_s:
                then()
            else:
                self.life.later(0.01, look)

        look()


def _copy(memory: Memory) -> Memory:
    return Memory(memory.epoch, memory.sealed, dict(memory.promised), dict(memory.accepted))
