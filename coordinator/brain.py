"""One node's brain: events in, actions out. It decides who is there; nothing here waits or sends.

`step` is the only way in and its answer the only way out. Time and chance are arguments, so
the same events give the same actions, in production as in the simulator.
"""

from dataclasses import replace
from random import Random

from coordinator.actions import Action, CloseWatch, OpenWatch, SaveGeneration, Send, Tell
from coordinator.events import (
    Event,
    FactsChanged,
    GenerationSaved,
    LeaveAsked,
    PeerMet,
    Received,
    RemovalDecided,
    Tick,
    WatchBroke,
    WatchOpened,
)
from coordinator.gossip import EVERYBODY, answer_to, facts_of
from coordinator.guard import LossGuard
from coordinator.members import Members
from coordinator.messages import Answer, Message, News, Probe, Sync, Vote
from coordinator.rings import Rings
from coordinator.settings import Settings
from coordinator.shown import EVENTS, knowing_of, view_of
from coordinator.spread import Spread
from coordinator.types import Facts, NodeId, Record, Status, View
from coordinator.votes import Votes
from coordinator.watch import Edge, Watch

TICK_S_MIN = 0.001
_WHY = {Status.DOWN: "its process is gone", Status.DEAD: "its observers do not hear it"}


class Brain:
    def __init__(self, own: Facts, settings: Settings, rng: Random, now_s: float) -> None:
        self.own = own.node
        self.settings = settings
        self._members = Members(own.node)
        self._members.merge(Record(own.node, own.generation), now_s)
        self._members.take(own)
        self._watch = Watch(settings)
        self._votes = Votes(settings)
        self._guard = LossGuard(settings)
        self._spread = Spread(self._members, settings, rng, now_s)
        shape = (settings.observers_max, settings.observers_near, settings.near_members_min)
        self._rings = Rings(*shape)
        self._restless = True  # Something changed that may be acted on before the next tick.
        self._due_s = now_s
        self._rewatch_due_s = now_s
        self._judges_from_s = now_s + settings.silent_s
        self._gone: set[NodeId] = set()
        self._saving = 0
        self._actions: list[Action] = []

    # -- The door

    def step(self, event: Event, now_s: float) -> list[Action]:
        """What happened, and when: what to do about it, in order."""
        if now_s - self._due_s > self.settings.late_tick_s:
            self._watch.was_late(now_s)
        match event:
            case Received(sender, message, held_s):
                self._received(sender, message, held_s, now_s)
            case WatchOpened(subject):
                self._opened(subject, now_s)
            case WatchBroke(subject, refused):
                self._broke(subject, refused, now_s)
            case PeerMet(node, generation):
                self._met(node, generation, now_s)
            case FactsChanged(facts):
                self._changed(facts)
            case LeaveAsked():
                self._leave(now_s)
            case RemovalDecided(node):
                self._merge(Record(node, 0, 0, Status.REMOVED), now_s, "an admin removed it")
            case GenerationSaved(generation):
                self._reborn(generation, now_s)
            case Tick():
                pass
        if self._restless or now_s >= self._due_s:
            self._work(now_s)
        actions, self._actions = self._actions, []
        return actions

    def due_s(self) -> float:
        """When `step` next wants a Tick."""
        return self._due_s

    def view(self, now_s: float) -> View:
        """All that is known, as others may read it."""
        near = frozenset(self._neighbours())
        return view_of(self._members, self._watch, self._guard.frozen, near, now_s)

    # -- What happened

    def _received(self, sender: NodeId, message: Message, held_s: float, now_s: float) -> None:
        if self._members.status(sender) is Status.REMOVED:
            self._send(sender, News((self._members.records[sender],)))
            return
        match message:
            case Probe():
                self._answer(sender, message, held_s)
            case Answer():
                self._heard(sender, message, held_s, now_s)
            case Vote(subject, observer, kind):
                if observer == sender:
                    self._votes.take(subject, observer, kind, now_s)
                    self._testify(sender, subject, kind, now_s)
                    self._restless = True
            case News(records, facts):
                self._learn(records, facts, now_s)
            case Sync():
                self._synced(sender, message, now_s)

    def _testify(self, accuser: NodeId, subject: Record, kind: str, now_s: float) -> None:
        """Who hears the accused says so, to the accuser and to itself."""
        edge = self._watch.edges.get(subject.node)
        if kind != "recovered" and edge is not None and edge.rtt_s and not edge.suspected:
            self._votes.take(subject, self.own, "recovered", now_s)
            self._send(accuser, Vote(subject, self.own, "recovered"))

    def _answer(self, sender: NodeId, probe: Probe, held_s: float) -> None:
        own = self._members.records[self.own]
        coordinate = self._members.facts[self.own].coordinate
        answer = Answer(probe.sequence, probe.sent_s, own, held_s, coordinate=coordinate)
        self._send(sender, answer)

    def _heard(self, sender: NodeId, answer: Answer, held_s: float, now_s: float) -> None:
        if answer.record.node != sender:
            return  # Nobody answers for another.
        self._watch.heard(sender, answer, held_s, now_s)
        edge = self._watch.edges.get(sender)
        self._restless |= edge is not None and edge.suspected
        self._merge(answer.record, now_s, "it answered")
        known = self._members.records[sender]
        if known.newer(answer.record):
            self._send(sender, News((known,)))  # It does not know what is said of it yet.

    def _opened(self, subject: NodeId, now_s: float) -> None:
        edge = self._watch.edges.get(subject)
        if edge:
            edge.open = True
            edge.probe_due_s = edge.due_s = now_s
            self._restless = True

    def _broke(self, subject: NodeId, refused: bool, now_s: float) -> None:
        edge = self._watch.edges.get(subject)
        if edge is None:
            return
        edge.open = False
        if refused and not edge.voted and self._members.alive(subject):
            self._vote(edge, "refused", now_s)
            self._restless = True

    def _met(self, node: NodeId, generation: int, now_s: float) -> None:
        if node == self.own:
            return
        stranger = node not in self._members.records
        self._merge(Record(node, generation), now_s, "it was met", tell_new=False)
        if stranger and self._members.status(node) is Status.ALIVE:
            self._actions.append(self._spread.opening(node))

    def _changed(self, facts: Facts) -> None:
        old = self._members.facts[self.own]
        generation = self._members.records[self.own].generation
        mine = replace(facts, generation=generation, version=old.version + 1)
        self._members.take(mine)
        if (mine.draining, mine.domain, mine.more) != (old.draining, old.domain, old.more):
            self._spread.rumours.add_facts(mine)
            self._restless = True

    def _leave(self, now_s: float) -> None:
        own = self._members.records[self.own]
        left = Record(self.own, own.generation, own.incarnation + 1, Status.LEFT)
        self._members.merge(left, now_s)
        for peer in sorted(self._neighbours()):
            self._send(peer, News((left,)))

    def _reborn(self, generation: int, now_s: float) -> None:
        """This node had lost its state; what it says of itself counts again from here."""
        self._saving = 0
        facts = self._members.facts[self.own]
        self._members.take(replace(facts, generation=generation, version=facts.version + 1))
        reborn = Record(self.own, generation)
        if self._members.merge(reborn, now_s):
            self._spread.rumours.add(reborn)
        self._spread.rumours.add_facts(self._members.facts[self.own])
        self._restless = True

    # -- What is known

    def _learn(self, records: tuple[Record, ...], facts: tuple[Facts, ...], now_s: float) -> None:
        for one in facts:
            self._take(one)
        for record in records:
            self._merge(record, now_s, "others said so")

    def _take(self, facts: Facts, tell: bool = True) -> None:
        if facts.node == self.own:
            return
        old = self._members.facts.get(facts.node)
        if (
            self._members.take(facts)
            and tell
            and (
                old is None
                or (old.domain, old.draining, old.more)
                != (facts.domain, facts.draining, facts.more)
            )
        ):
            self._spread.rumours.add_facts(facts)
            self._restless = True

    def _merge(self, record: Record, now_s: float, why: str, tell_new: bool = True) -> None:
        if record.node == self.own and self._about_me(record, now_s):
            return
        if (old := self._members.merge(record, now_s)) is None:
            return
        if old is not record or tell_new:
            self._spread.rumours.add(record)
        self._restless = True
        node = record.node
        if record.status is Status.ALIVE:
            if record.generation > old.generation:
                self._watch.lives(node, now_s)
            self._gone.discard(node)
            if self._guard.back(node):
                self._tell("cluster.thawed", node, "all that were lost are back")
        if old is record or old.status is not record.status:
            self._tell(EVENTS[record.status], node, why)
        if record.status is Status.DEAD:
            self._lost(node, now_s)
        if record.status is Status.REMOVED:
            self._send(node, News((record,)))  # Soon nobody lets it in to ask.
        if record.status not in (Status.ALIVE, Status.DOWN):
            self._votes.drop(node)

    def _about_me(self, record: Record, now_s: float) -> bool:
        """Someone says something of this node. True when that is not to be believed."""
        mine = self._members.records[self.own]
        if record.status is Status.REMOVED or mine.status is not Status.ALIVE:
            return False
        if record.generation > mine.generation:
            if record.generation >= self._saving:
                self._saving = record.generation + 1
                self._actions.append(SaveGeneration(self._saving))
            return True
        if record.newer(mine):
            raised = Record(self.own, mine.generation, record.incarnation + 1)
            self._members.merge(raised, now_s)
            self._spread.rumours.add(raised)
            self._restless = True
            self._tell("node.refuted", self.own, f"others called this node {record.status.name}")
        return True

    def _lost(self, node: NodeId, now_s: float) -> None:
        if self._guard.lost(node, self._rings.members(), self._members.place, now_s):
            self._tell("cluster.frozen", node, "much was lost at once: nothing is copied for now")

    # -- What is due

    def _work(self, now_s: float) -> None:
        self._watch.heal(now_s)
        self._rewatch(now_s)
        for edge in self._watch.edges.values():
            if now_s >= edge.due_s:
                self._look(edge, now_s)
                self._watch.settle(edge)
        self._judge(now_s)
        self._hold(now_s)
        self._actions += self._spread.due(self._neighbours(), self._rings, now_s)
        self._restless = False
        self._due_s = max(now_s + TICK_S_MIN, self._next_s())

    def _next_s(self) -> float:
        soon = [self._watch.due_s(), self._spread.due_s(), self._guard.due_s()]
        if self._members.moved:
            soon.append(self._rewatch_due_s)
        return min(soon)

    def _rewatch(self, now_s: float) -> None:
        """Watch whom the rings say, when the members have changed."""
        if now_s < self._rewatch_due_s or not self._members.moved:
            return
        self._rewatch_due_s = now_s + self.settings.rewatch_s
        moved, self._members.moved = self._members.moved, set()
        for node in moved:
            self._rings.put(node, self._members.standing(node))
        watched = self._rings.subjects(self.own)
        for gone in sorted(set(self._watch.edges) - watched):
            self._watch.end(gone)
            self._actions.append(CloseWatch(gone))
        for new in sorted(watched - set(self._watch.edges)):
            self._watch.begin(new, now_s)
            self._actions.append(OpenWatch(new))

    def _look(self, edge: Edge, now_s: float) -> None:
        """One subject: ask it, doubt it, vote on it."""
        suspected = now_s >= self._watch.suspect_at_s(edge)
        if suspected is not edge.suspected:
            edge.suspected = suspected
            if self._members.alive(edge.subject):
                silent = f"silent for {now_s - edge.heard_s:.1f} s"
                what, why = ("suspect", silent) if suspected else ("trusted", "it answers again")
                self._tell(f"node.{what}", edge.subject, why)
        if now_s >= self._watch.silent_at_s(edge):
            if edge.voted != "silent" or now_s >= edge.vote_due_s:
                self._vote(edge, "silent", now_s)
        elif edge.voted and edge.heard_s > edge.voted_s and not suspected:
            self._vote(edge, "recovered", now_s)
        elif edge.voted and now_s >= edge.vote_due_s:
            self._vote(edge, edge.voted, now_s)
        if edge.open and now_s >= edge.probe_due_s:
            edge.sequence += 1
            edge.probe_due_s = now_s + self.settings.probe_s
            self._send(edge.subject, Probe(edge.sequence, now_s, edge.suspected))

    def _vote(self, edge: Edge, kind: str, now_s: float) -> None:
        record = self._members.records.get(edge.subject)
        if record is None:
            return
        edge.voted = "" if kind == "recovered" else kind
        edge.voted_s = now_s
        edge.vote_due_s = now_s + self.settings.revote_s
        self._votes.take(record, self.own, kind, now_s)
        vote = Vote(record, self.own, kind)
        for other in self._observers(edge.subject):
            if other != self.own and self._members.status(other) is Status.ALIVE:
                self._send(other, vote)

    def _judge(self, now_s: float) -> None:
        if now_s < self._judges_from_s:
            return  # Who has just begun knows few of the judges, and takes them for all.
        for node in self._votes.open_cases():
            record = self._members.records.get(node)
            if record is None or record.status not in (Status.ALIVE, Status.DOWN):
                continue
            found = self._votes.verdict(
                record, self._observers(node), self._members.alive, self._members.place, now_s
            )
            if found is not None and found > record.status:
                verdict = Record(node, record.generation, record.incarnation, found)
                self._merge(verdict, now_s, _WHY[found])

    def _observers(self, node: NodeId) -> tuple[NodeId, ...]:
        return self._rings.observers(node)

    def _hold(self, now_s: float) -> None:
        """From dead to gone; and what has been dead for long is forgotten."""
        if self._guard.thaw(now_s):
            self._tell("cluster.thawed", self.own, "the longest freeze is over")
        for node in self._members.lost_as(Status.DEAD, Status.LEFT):
            since_s = now_s - self._members.since_s[node]
            if since_s >= self.settings.forget_s:
                self._members.forget(node)
            elif (
                since_s >= self.settings.hold_s
                and node not in self._gone
                and not self._guard.frozen
                and self._members.status(node) is Status.DEAD
            ):
                self._gone.add(node)
                self._tell("node.gone", node, "its copies are made anew elsewhere")

    # -- Telling

    def _synced(self, sender: NodeId, sync: Sync, now_s: float) -> None:
        for facts in sync.facts:
            self._take(facts, tell=facts.node == sender)
        for entry in sync.digest:
            # Whom only this node had not heard of is no news to others.
            self._merge(entry.record, now_s, "others said so", tell_new=entry.record.node == sender)
        most = self.settings.sync_entries_max
        if not sync.answer:
            self._send(sender, answer_to(self._members, sync, most))
            return
        if sync.wanted:
            wanted = facts_of(self._members, sync.wanted, most)
            self._send(sender, Sync((), wanted, answer=True, first=EVERYBODY, last=EVERYBODY))
        if sync.last < EVERYBODY and len(sync.digest) >= most:
            # There is more behind what fitted.
            self._actions.append(self._spread.opening(sender, sync.last))

    def _neighbours(self) -> set[NodeId]:
        """Those at the other end of a stream: whom this node watches and who watches it."""
        return {*self._watch.edges, *self._observers(self.own)} - {self.own}

    def _send(self, to: NodeId, message: Message) -> None:
        if to != self.own:
            self._actions.append(Send(to, message))

    def _tell(self, what: str, node: NodeId, why: str = "") -> None:
        record = self._members.records.get(node)
        knowing = knowing_of(record, self._watch.edges.get(node)) if record else None
        self._actions.append(Tell(what, node, knowing, why))
