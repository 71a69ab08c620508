"""What two nodes tell each other when they greet: facts, revocations, trust, audit heads, and what
their copies of the council's decisions hold.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from multicloud.errors import McError
from multicloud.v1 import peer_pb2
from nodeagent.rpc.roster import Peer, Roster


class Trusting(Protocol):
    """This node's identity as far as it changes by what peers say."""

    @property
    def trust(self) -> peer_pb2.TrustBundle: ...
    @property
    def revocations_digest(self) -> bytes: ...
    def revocations(self) -> Sequence[peer_pb2.Revocation]: ...
    async def learn_revocations(self, found: Sequence[peer_pb2.Revocation]) -> int: ...
    async def learn_trust(self, found: peer_pb2.TrustBundle) -> bool: ...


class Heads(Protocol):
    """The audit log as far as its heads are left with peers."""

    async def head(self) -> peer_pb2.AuditHead | None: ...
    async def keep_head(self, head: peer_pb2.AuditHead) -> None: ...


class Registers(Protocol):
    """The copy of what the council decided, as far as greetings tell of it."""

    def digest(self) -> peer_pb2.CopyDigest: ...
    def heard(self, node: str, digest: peer_pb2.CopyDigest) -> None: ...


@dataclass(slots=True)
class Exchange:
    roster: Roster
    identity: Trusting
    heads: Heads
    registers: Registers
    on_revocations: Callable[[], object]  # New revocations must bite on open calls.
    on_renewed: Callable[[], object]  # New trust: channels are made anew.
    on_met: Callable[[str, int], object]  # A node, of that generation, was met.
    clock_unix_s: Callable[[], float] = time.time
    clock_s: Callable[[], float] = time.monotonic

    async def compose(self, peer: Peer) -> peer_pb2.Greeting:
        """What to say to this peer: sets that it has already are left out."""
        digest = self.identity.revocations_digest
        trust = self.identity.trust
        return peer_pb2.Greeting(
            facts=self.roster.own,
            revocations_digest=digest,
            revocations=() if peer.revocations_digest == digest else self.identity.revocations(),
            trust=None if peer.trust_version >= trust.version else trust,
            trust_version=trust.version,
            audit_head=await self.heads.head(),
            clock_unix_ms=int(self.clock_unix_s() * 1000),
            council=self.registers.digest(),
        )

    async def absorb(self, greeting: peer_pb2.Greeting, node_id: str) -> Peer:
        """Takes in what the node that TLS knows as `node_id` said. It may speak of itself only."""
        if greeting.facts.id != node_id:
            raise McError("NOT_ALLOWED", f"node {node_id} sent the facts of {greeting.facts.id!r}")
        peer = self.roster.heard(greeting.facts, self.clock_s())
        self.on_met(peer.id, greeting.facts.generation)
        peer.revocations_digest = greeting.revocations_digest
        peer.trust_version = greeting.trust_version
        if greeting.HasField("trust") and await self.identity.learn_trust(greeting.trust):
            self.on_renewed()
        if await self.identity.learn_revocations(greeting.revocations):
            self.on_revocations()
        if greeting.HasField("audit_head") and greeting.audit_head.node == peer.id:
            await self.heads.keep_head(greeting.audit_head)
        if greeting.HasField("council"):
            self.registers.heard(peer.id, greeting.council)
        return peer
