"""Who is known, by what each said of itself, and how it was reached. Until there is gossip this is
a plain list, made of the configured peers and of whoever greeted.
"""

from collections import deque
from dataclasses import dataclass, field

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
    left: bool = False
    greeted: bool = False  # It has answered a greeting from here.
    failure: str = ""  # Why it was not reached the last time.
    certificate_end_unix_s: float = 0.0
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
    silent_s_max: float
    peers: dict[str, Peer] = field(default_factory=dict)

    def peer(self, node_id: str) -> Peer:
        return self.peers.setdefault(node_id, Peer(node_id))

    def heard(self, facts: common_pb2.NodeFacts, now_s: float) -> Peer:
        """A peer spoke. What it said of itself counts if it is news."""
        peer = self.peer(facts.id)
        known = peer.facts
        if known is None or facts.generation != known.generation:
            # Also a lower one counts: the node itself says it, and its disk may be a new one.
            peer.left, peer.facts = False, facts
        elif facts.revision >= known.revision:
            peer.facts = facts
        peer.heard_s = now_s
        return peer

    def find(self, name_or_id: str) -> Peer | None:
        if name_or_id in self.peers:
            return self.peers[name_or_id]
        return next((p for p in self.peers.values() if p.name == name_or_id), None)

    def is_own(self, name_or_id: str) -> bool:
        return name_or_id in ("", self.own.id, self.own.name)

    def state(self, peer: Peer, now_s: float) -> "common_pb2.NodeState.ValueType":
        if peer.left:
            return common_pb2.NODE_STATE_LEFT
        if peer.heard_s is None or now_s - peer.heard_s > self.silent_s_max:
            return common_pb2.NODE_STATE_UNREACHABLE
        if peer.facts and peer.facts.draining:
            return common_pb2.NODE_STATE_DRAINING
        return common_pb2.NODE_STATE_ALIVE
