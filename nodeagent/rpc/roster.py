"""The address book: what each node said of itself, how it was reached, and why not. Which of them
are alive is the brain's to say.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from coordinator.types import Knowing, NodeId, View
from multicloud.v1 import common_pb2

RTT_SAMPLES = 5


@dataclass(slots=True)
class Peer:
    """One other node as this one knows it."""

    id: str
    address: str = ""  # Where it was reached last, or would be.
    watch_address: str = ""
    facts: common_pb2.NodeFacts | None = None
    heard_s: float | None = None  # By the monotonic clock
    greeted: bool = False  # It has answered a greeting from here.
    said: bytes = b""  # What gossip brought of it last.
    failure: str = ""  # Why it was not reached the last time.
    clock_offset_ms: float | None = None
    rtts_ms: deque[float] = field(default_factory=lambda: deque(maxlen=RTT_SAMPLES))
    # What the other side had when it last spoke, so that only news is sent.
    revocations_digest: bytes = b""
    trust_version: int = 0

    @property
    def name(self) -> str:
        return self.facts.name if self.facts else self.id

    @property
    def rtt_ms(self) -> float:
        # The least of a few: a busy loop only ever adds.
        return min(self.rtts_ms, default=0.0)


@dataclass(slots=True)
class Roster:
    own: common_pb2.NodeFacts
    knowing: Callable[[NodeId], Knowing | None]
    peers: dict[str, Peer] = field(default_factory=dict)

    def peer(self, node_id: str) -> Peer:
        return self.peers.setdefault(node_id, Peer(node_id))

    def heard(self, facts: common_pb2.NodeFacts, now_s: float) -> Peer:
        """A peer spoke. What it said of itself counts if it is news."""
        peer = self.peer(facts.id)
        known = peer.facts
        # Also a lower generation counts: the node itself says it, and its disk may be a new one.
        if (
            known is None
            or facts.generation != known.generation
            or facts.revision >= known.revision
        ):
            peer.facts = facts
        peer.heard_s = now_s
        return peer

    def follow(self, view: View) -> None:
        """Takes over what gossip says of nodes that do not greet here."""
        for node, member in view.members.items():
            if node == self.own.id or member.facts is None or not member.facts.more:
                continue
            peer = self.peer(node)
            if peer.said != member.facts.more:
                peer.said = member.facts.more
                facts = common_pb2.NodeFacts.FromString(member.facts.more)
                if facts.id == node:
                    peer.facts = facts

    def find(self, name_or_id: str) -> Peer | None:
        if name_or_id in self.peers:
            return self.peers[name_or_id]
        return next((p for p in self.peers.values() if p.name == name_or_id), None)

    def is_own(self, name_or_id: str) -> bool:
        return name_or_id in ("", self.own.id, self.own.name)

    def state(self, peer: Peer) -> "common_pb2.NodeState.ValueType":
        knowing = self.knowing(peer.id)
        if knowing is Knowing.ALIVE and peer.facts and peer.facts.draining:
            return common_pb2.NODE_STATE_DRAINING
        return STATES.get(knowing, common_pb2.NODE_STATE_UNREACHABLE)


STATES: Mapping[Knowing | None, "common_pb2.NodeState.ValueType"] = {
    Knowing.ALIVE: common_pb2.NODE_STATE_ALIVE,
    Knowing.SUSPECT: common_pb2.NODE_STATE_SUSPECT,
    Knowing.UNREACHABLE: common_pb2.NODE_STATE_UNREACHABLE,
    Knowing.DOWN: common_pb2.NODE_STATE_DOWN,
    Knowing.DEAD: common_pb2.NODE_STATE_DEAD,
    Knowing.LEFT: common_pb2.NODE_STATE_LEFT,
    Knowing.REMOVED: common_pb2.NODE_STATE_REMOVED,
}
