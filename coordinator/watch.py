"""The detector: what one observer hears of its subjects, and when silence becomes a vote."""

from dataclasses import dataclass, field

from coordinator.messages import Answer
from coordinator.settings import Settings
from coordinator.types import NodeId

RTT_S_MAX = 2.0
FIRST_PATIENCE = 1.6  # Until the first answer: dials are part of the silence.


@dataclass(slots=True)
class Edge:
    """One subject as its observer sees it."""

    subject: NodeId
    heard_s: float  # When it last answered; at first, when the watch began.
    probe_due_s: float
    open: bool = False
    sequence: int = 0
    rtt_s: float = 0.0
    voted: str = ""  # What this observer has said last: "", "silent" or "refused".
    voted_s: float = 0.0
    vote_due_s: float = 0.0  # When it says so again.
    suspected: bool = False
    due_s: float = 0.0  # When it is next to be looked at; see `Watch.settle`.


@dataclass(slots=True)
class Watch:
    settings: Settings
    edges: dict[NodeId, Edge] = field(default_factory=dict)
    health: int = 0  # 0 is well; each step makes this observer slower to judge.
    health_heals_s: float = 0.0

    def begin(self, subject: NodeId, now_s: float) -> None:
        self.edges[subject] = Edge(subject, heard_s=now_s, probe_due_s=now_s)

    def end(self, subject: NodeId) -> None:
        self.edges.pop(subject, None)

    def heard(self, subject: NodeId, answer: Answer, held_s: float, now_s: float) -> None:
        edge = self.edges.get(subject)
        if edge is None:
            return
        edge.heard_s = max(edge.heard_s, now_s - held_s)
        if edge.suspected or edge.voted:
            edge.due_s = now_s
        rtt_s = now_s - held_s - answer.probe_sent_s - answer.held_s
        if 0 <= rtt_s <= RTT_S_MAX:
            edge.rtt_s = rtt_s if edge.rtt_s == 0 else min(rtt_s, edge.rtt_s * 1.1)

    def lives(self, subject: NodeId, now_s: float) -> None:
        """A new life of it was heard of: whatever it was silent for was the old one's."""
        edge = self.edges.get(subject)
        if edge:
            edge.heard_s = now_s

    def was_late(self, now_s: float) -> None:
        """This node's own loop stood still: what it did not hear proves nothing."""
        self.health = min(self.settings.health_max, self.health + 2)
        self.health_heals_s = now_s + self.settings.health_heal_s
        for edge in self.edges.values():
            edge.heard_s = max(edge.heard_s, now_s)
            edge.probe_due_s = edge.due_s = now_s

    def heal(self, now_s: float) -> None:
        if self.health and now_s >= self.health_heals_s:
            self.health -= 1
            self.health_heals_s = now_s + self.settings.health_heal_s

    @property
    def patience(self) -> float:
        return 1 + self.health / 4

    def suspect_at_s(self, edge: Edge) -> float:
        wait_s = self.settings.suspect_s * self.patience + edge.rtt_s
        return edge.heard_s + wait_s

    def silent_at_s(self, edge: Edge) -> float:
        patience = self.patience * (1 if edge.rtt_s else FIRST_PATIENCE)
        return edge.heard_s + self.settings.silent_s * patience

    def settle(self, edge: Edge) -> None:
        """An answer only ever puts things off, so this may be early but never late."""
        due_s = float("inf") if edge.suspected else self.suspect_at_s(edge)
        if edge.open:
            due_s = min(due_s, edge.probe_due_s)
        if edge.voted:
            due_s = min(due_s, edge.vote_due_s)
        if edge.voted != "silent":
            due_s = min(due_s, self.silent_at_s(edge))
        edge.due_s = due_s

    def due_s(self) -> float:
        return min((edge.due_s for edge in self.edges.values()), default=float("inf"))
