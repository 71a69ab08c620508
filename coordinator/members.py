"""Who belongs to the cluster, by the newest record of each. Merging is order-free: rank decides."""

from dataclasses import dataclass, field

from coordinator.types import Facts, NodeId, Record, Status

PRESENT = (Status.ALIVE, Status.DOWN)  # Who is in the rings: a quick restart must not move them.


@dataclass(slots=True)
class Members:
    own: NodeId
    records: dict[NodeId, Record] = field(default_factory=dict)
    facts: dict[NodeId, Facts] = field(default_factory=dict)
    since_s: dict[NodeId, float] = field(default_factory=dict)  # Of the record's status, here.
    lost: set[NodeId] = field(default_factory=set)  # Whoever is not alive.
    moved: set[NodeId] = field(default_factory=set)  # Whose place in the rings may have changed.

    def merge(self, record: Record, now_s: float) -> Record | None:
        """Takes the record if it is newer: the one that it replaced, or itself when there was
        none. None when it was no news."""
        old = self.records.get(record.node)
        if not record.newer(old):
            return None
        self.records[record.node] = record
        (self.lost.discard if record.status is Status.ALIVE else self.lost.add)(record.node)
        if old is None or old.status is not record.status or record.generation != old.generation:
            self.since_s[record.node] = now_s
            self.moved.add(record.node)
        return old or record

    def take(self, facts: Facts) -> bool:
        """True when they are news."""
        old = self.facts.get(facts.node)
        if old is not None and facts.age <= old.age:
            return False
        self.facts[facts.node] = facts
        if old is None or old.domain != facts.domain:
            self.moved.add(facts.node)
        return True

    def forget(self, node: NodeId) -> None:
        for kept in (self.records, self.facts, self.since_s):
            kept.pop(node, None)
        self.lost.discard(node)
        self.moved.add(node)

    def standing(self, node: NodeId) -> str | None:
        """Its place when it is in the rings, else None."""
        return self.place(node) if self.status(node) in PRESENT else None

    def place(self, node: NodeId) -> str:
        facts = self.facts.get(node)
        return facts.domain.place if facts else ""

    def status(self, node: NodeId) -> Status | None:
        record = self.records.get(node)
        return record.status if record else None

    def alive(self, node: NodeId) -> bool:
        return self.status(node) is Status.ALIVE

    def lost_as(self, *statuses: Status) -> list[NodeId]:
        """In a fixed order, so that chance is the rng's alone."""
        return sorted(node for node in self.lost if self.records[node].status in statuses)
