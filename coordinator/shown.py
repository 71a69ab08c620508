"""What a brain knows, as the rest of the system may read it: one immutable view."""

from coordinator.members import Members
from coordinator.types import Knowing, Member, NodeId, Record, Status, View
from coordinator.watch import Edge, Watch

_SHOWN = {
    Status.DOWN: Knowing.DOWN,
    Status.DEAD: Knowing.DEAD,
    Status.LEFT: Knowing.LEFT,
    Status.REMOVED: Knowing.REMOVED,
}

EVENTS = {
    Status.ALIVE: "node.alive",
    Status.DOWN: "node.down",
    Status.DEAD: "node.dead",
    Status.LEFT: "node.left",
    Status.REMOVED: "node.removed",
}


def view_of(
    members: Members, watch: Watch, frozen: bool, neighbours: frozenset[NodeId], now_s: float
) -> View:
    shown = {}
    for node, record in members.records.items():
        edge = watch.edges.get(node)
        silent_s = max(0.0, now_s - edge.heard_s) if edge else 0.0
        facts = members.facts.get(node)
        shown[node] = Member(record, knowing_of(record, edge), facts, silent_s)
    return View(members.own, shown, frozen=frozen, neighbours=neighbours)


def knowing_of(record: Record, edge: Edge | None) -> Knowing:
    """What everybody agrees on, and below that this node's own doubts."""
    if record.status in _SHOWN:
        return _SHOWN[record.status]
    if edge is None or not edge.suspected:
        return Knowing.ALIVE
    return Knowing.UNREACHABLE if edge.voted == "silent" else Knowing.SUSPECT
