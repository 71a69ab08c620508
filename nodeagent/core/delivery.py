"""One chunk on its way to its copies: facts in, actions out. Time and chance are arguments.

A copy is a fact about a disk, and is counted so:

- By volumes: a second fact from one volume says nothing new, whoever tells it. Only what stands
  where the policy allows counts.
- *Acked* holds when the policy's rules, for its first W copies, are met by all volumes that are
  known to exist. A node that died after Stored counts: its bytes are durable and are there when it
  returns. Acked is said once and never taken back.
- *Safe* holds when the policy is met by volumes whose nodes are there at that moment. The source
  forgets its data then, so nobody who is away is counted on; when one goes away before, a spare
  is asked at once, and it counts again when it is seen with that volume. Safe is the end.
- A volume that is gone (its node returned without it, or was removed) counts for nothing, and so
  does a copy that its own node finds damaged.

A target that fails is replaced by the brain's next spare, fed by the nearest that has a copy. When
no spare fits, a fresh election is asked for, with growing pauses, so often and no more. A node that
failed only because a relay before it did keeps its place. No node is asked while it may still be
at work on what it was asked before.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from random import Random

from coordinator.placement import Election
from coordinator.policy import Site, unmet
from coordinator.types import NodeId
from nodeagent.core.delivery_holdings import Holdings
from nodeagent.core.delivery_pace import Shunned, Tries
from nodeagent.core.delivery_tree import CostOf, branches_of, pushes
from nodeagent.core.delivery_words import (
    Acked,
    Action,
    Away,
    Copy,
    ElectAgain,
    Elected,
    Event,
    Failed,
    GiveUp,
    Goal,
    HolderFailed,
    Lost,
    Patience,
    Push,
    Reached,
    Safe,
    Seen,
    Send,
    Short,
)

DEFAULT = Patience()


class _At(Enum):
    WAITING = "for somebody who has the chunk"
    ASKED = "and expected to answer"
    LATE = "asked, and not waited for; it may still be at work"


@dataclass(slots=True)
class _Target:
    site: Site
    at: _At = _At.WAITING
    asked_s: float = 0.0
    path: tuple[NodeId, ...] = ()  # Who passes it on, the nearest to the source first.


class Delivery:
    """`begin`, then `step` with what was heard, or at `wake_s`; until `over`."""

    def __init__(
        self,
        goal: Goal,
        election: Election,
        cost: CostOf,
        *,
        rng: Random,
        patience: Patience = DEFAULT,
    ) -> None:
        self.over = False
        self.acked = False
        self._goal, self._cost, self._patience = goal, cost, patience
        self._election = election
        self._source = election.ask.source_node
        self._holdings = Holdings(goal.policy)
        self._targets: dict[NodeId, _Target] = {}
        self._vacant: list[Site] = []  # Places that were just lost.
        self._failures: dict[NodeId, Failed] = {}
        self._failed_since: set[NodeId] = set()  # The last election.
        self._tries = Tries(patience, rng)
        self._no_put, self._no_push = Shunned(self._tries), Shunned(self._tries)
        self._electing = False
        self._took_s: float | None = None  # The slowest copy that came.
        self._take(election)

    # -- What the driver calls

    def begin(self, now_s: float, known: Iterable[Copy] = ()) -> list[Action]:
        """`known`: copies that were found before, pinned. With one, nothing is sent from here."""
        self._absorb(known, now_s)
        if self._holdings.copies or not self._targets:
            return self._next(now_s)
        local = self._source in self._targets
        branches = branches_of(self._election.tree, self._source)
        if not (local or branches):
            return self._next(now_s)
        for branch in branches:
            for path in branch.paths():
                self._asked(path, now_s)
        if local:
            self._asked((self._source,), now_s)
        return [Send(local, branches)]

    def step(self, events: Iterable[Event], now_s: float) -> list[Action]:
        """Give all that was heard since the last step at once: it is judged together."""
        assert not self.over
        self._absorb(events, now_s)
        return [*self._late(now_s), *self._next(now_s)]

    @property
    def wake_s(self) -> float | None:
        """When to step at the latest though nothing was heard."""
        if self.over:
            return None
        late_s, asked, waiting = self._late_s, self._in(_At.ASKED), self._in(_At.WAITING)
        judged = [target for target in asked if not target.site.bucket]
        times = [t.asked_s + late_s for t in judged] if late_s is not None else []
        if waiting:
            times += [t for n, t in self._no_push.until_s.items() if n in self._holdings.nodes_here]
        to_try = not asked or (self._lacking() and not self._tries.over)
        if to_try and not self._electing:
            times.append(self._tries.next_s)
        return min(times, default=None)

    @property
    def reached(self) -> Reached:
        holdings = self._holdings
        return Reached(
            copies=holdings.copies,
            acked=self.acked,
            safe=holdings.meet(self._goal.policy),
            missing=unmet(self._goal.policy, holdings.here, holdings.names),
            failures=tuple(f for n, f in self._failures.items() if n not in holdings.nodes),
            names=dict(holdings.names),
            away=frozenset(holdings.away),
        )

    @property
    def concerned(self) -> frozenset[NodeId]:
        """Nodes of which it wants to hear whether they are there."""
        return frozenset(self._holdings.sites)

    @property
    def election(self) -> Election:
        """The last one."""
        return self._election

    # -- What was heard

    def _absorb(self, events: Iterable[Event], now_s: float) -> None:
        heard = list(events)
        for event in heard:
            match event:
                case Copy():
                    self._copy(event, now_s)
                case Away():
                    self._away(event)
                case Seen() | Lost():
                    self._seen_or_lost(event)
                case Elected():
                    self._elected(event)
                case HolderFailed():
                    self._holder_failed(event, now_s)
        failed = {e.node: e for e in heard if isinstance(e, Failed)}
        blamed = [f for f in failed.values() if not self._is_innocent(f.node, failed)]
        for failure in failed.values():
            self._failed(failure, now_s, innocent=failure not in blamed)

    def _copy(self, copy: Copy, now_s: float) -> None:
        if not self._holdings.knows(copy.node):
            return  # Nobody asked it: where it stands is not known.
        target = self._targets.pop(copy.node, None)
        if self._holdings.add(copy):
            self._failures.pop(copy.node, None)
            self._tries.succeeded()
            if target and target.at is not _At.WAITING and not copy.already:
                self._took_s = max(self._took_s or 0.0, now_s - target.asked_s)
        elif not self._holdings.has(copy):
            other = self._holdings.holder_of(copy.volume)
            said = f"its volume {copy.volume} counts already, for {other}"
            self._refuse(Failed(copy.node, "FAILED", said), now_s)
            self._vacate(copy.node, target)

    def _is_innocent(self, node: NodeId, failed: dict[NodeId, Failed]) -> bool:
        """Somebody before it on its path failed, and has no copy to send on."""
        target = self._targets.get(node)
        above = target.path[:-1] if target else ()
        down = {*failed, *self._failed_since, *self._holdings.away}
        return any(relay in down and relay not in self._holdings.nodes for relay in above)

    def _failed(self, failure: Failed, now_s: float, *, innocent: bool) -> None:
        target = self._targets.get(failure.node)
        if target is None or target.at is _At.WAITING:
            return  # Not asked.
        del self._targets[failure.node]
        if innocent and target.at is _At.ASKED:
            self._targets[failure.node] = _Target(target.site)
            return
        self._refuse(failure, now_s)
        if target.at is _At.ASKED:
            self._vacate(failure.node, target)

    def _refuse(self, failure: Failed, now_s: float) -> None:
        node = failure.node
        self._failures[node] = failure
        self._failed_since.add(node)
        self._no_put.shun(node, now_s, failure.retry_after_s or self._patience.elsewhere_s)

    def _holder_failed(self, event: HolderFailed, now_s: float) -> None:
        self._no_push.shun(event.holder, now_s)
        for node in event.nodes:
            target = self._targets.get(node)
            if target is None or target.at is _At.WAITING:
                continue
            del self._targets[node]
            if target.at is _At.ASKED:
                self._targets[node] = _Target(target.site)

    def _away(self, event: Away) -> None:
        node = event.node
        if not self._holdings.knows(node) or node in self._holdings.away:
            return
        self._holdings.away[node] = event.why
        target = self._targets.get(node)
        if node in self._holdings.nodes:
            self._vacant.append(self._holdings.sites[node])
        elif target and target.at is _At.WAITING:
            del self._targets[node]
            self._vacate(node, target)

    def _seen_or_lost(self, event: Seen | Lost) -> None:
        node = event.node
        before = node in self._holdings.nodes_here
        if isinstance(event, Lost):
            self._holdings.lost(node)
            self._failures[node] = Failed(node, "DAMAGE", event.why)
            self._failed_since.add(node)
        else:
            self._holdings.seen(node, event.volumes)
        if before and node not in self._holdings.nodes_here:
            self._vacant.append(self._holdings.sites[node])

    def _elected(self, event: Elected) -> None:
        self._electing = False
        if event.election is not None:
            self._election = event.election
            self._failed_since.clear()
            self._take(event.election)

    def _take(self, election: Election) -> None:
        holdings = self._holdings
        seats = [*election.targets, *election.spares]
        holdings.know([*election.board.held, *(seat.site for seat in seats)], election.board.names)
        for seat in election.targets:
            holdings.away.pop(seat.node, None)  # Who is elected is there.
            if seat.node not in self._targets and seat.node not in holdings.nodes_here:
                self._targets[seat.node] = _Target(seat.site)

    # -- What is to be done

    def _late(self, now_s: float) -> Iterator[GiveUp]:
        late_s = self._late_s
        for target in self._in(_At.ASKED):
            node, why = target.site.node, self._holdings.away.get(target.site.node, "")
            # A cloud takes its time; the wire ends what stands still.
            is_judged = not why and late_s is not None and not target.site.bucket
            if is_judged and late_s is not None and now_s >= target.asked_s + late_s:
                why = f"no answer for {now_s - target.asked_s:.1f} s, and others have stored it"
                self._refuse(Failed(node, "DEADLINE", why), now_s)
            elif why:
                self._refuse(Failed(node, "UNREACHABLE", why), now_s)
            if why:
                target.at = _At.LATE
                self._vacate(node, target)
                yield GiveUp(node, why)

    @property
    def _late_s(self) -> float | None:
        if self._took_s is None:
            return None
        return max(self._patience.late_s_min, self._patience.late_times * self._took_s)

    def _next(self, now_s: float) -> list[Action]:
        actions: list[Action] = []
        if not self.acked and self._holdings.durable_meet(self._goal.acked):
            self.acked = True
            actions.append(Acked(self.reached))
        if self._holdings.meet(self._goal.policy):
            self.over = True
            return [*actions, Safe(self.reached)]
        if not self._holdings.copies and not self._in(_At.ASKED):
            return [*actions, self._short()]
        self._fill(now_s)
        return [*actions, *self._pushes(now_s), *self._again(now_s)]

    def _fill(self, now_s: float) -> None:
        """A spare for each place that was lost, as long as one is needed and one fits."""
        vacant, self._vacant = self._vacant, []
        for site in vacant:
            if not self._lacking():
                return
            coming = self._coming()
            busy = {s.node for s in coming} | self._targets.keys() | self._failed_since
            refused = busy | self._holdings.away.keys() | self._no_put.now(now_s)
            spare = self._election.instead(site.node, refused, (*coming, site))
            if spare is not None:
                self._targets[spare.node] = _Target(spare.site)

    def _pushes(self, now_s: float) -> tuple[Push, ...]:
        wanted = [t.site for t in self._in(_At.WAITING)]
        shunned = self._no_push.now(now_s)
        holders = [site for site in self._holdings.here if site.node not in shunned]
        if not wanted or not holders:
            return ()
        found = pushes(holders, wanted, self._cost)
        for push in found:
            for branch in push.branches:
                for path in branch.paths():
                    self._asked(path, now_s)
        return found

    def _again(self, now_s: float) -> list[Action]:
        """A fresh election when copies lack, or a pause when nobody is there to send."""
        at_work = bool(self._in(_At.ASKED))
        lacking = self._lacking()
        if self._electing or (at_work and not lacking):
            return []
        if now_s < self._tries.next_s:
            return []
        if self._tries.over:
            return [] if at_work else [self._short()]
        self._tries.count(now_s)
        if not lacking:
            return []
        self._electing = True
        shunned = self._no_put.now(now_s)
        refused = {n: str(f) for n, f in self._failures.items() if n in shunned}
        refused |= {t.site.node: "it is still at work" for t in self._in(_At.LATE)}
        refused |= self._holdings.away
        return [ElectAgain(tuple(site.node for site in self._coming()), refused)]

    def _short(self) -> Short:
        self.over = True
        return Short(self.reached)

    # -- What is on its way

    def _in(self, at: _At) -> list[_Target]:
        return [target for target in self._targets.values() if target.at is at]

    def _coming(self) -> list[Site]:
        """Copies that are here, or will be when all goes well."""
        targets = [t.site for t in self._targets.values() if t.at is not _At.LATE]
        return [*self._holdings.here, *targets]

    def _lacking(self) -> bool:
        return bool(unmet(self._goal.policy, self._coming(), {}))

    def _asked(self, path: tuple[NodeId, ...], now_s: float) -> None:
        target = self._targets[path[-1]]
        assert target.at is _At.WAITING
        target.at, target.asked_s, target.path = _At.ASKED, now_s, path

    def _vacate(self, node: NodeId, target: _Target | None) -> None:
        if target is not None and node not in self._holdings.nodes_here:
            self._vacant.append(target.site)
