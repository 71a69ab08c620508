"""Other members as the upkeep asks them, by the chunk service; who they are, and how far."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from coordinator.distance import Measured
from coordinator.places import is_bucket, node_of, volume_of
from coordinator.policy import Site
from coordinator.types import Domain, Knowing, Member, NodeId, View
from multicloud.errors import McError
from multicloud.v1 import chunk_pb2, common_pb2
from nodeagent.core.upkeep_proofs import Proof
from nodeagent.core.upkeep_tally import Presence, Standing, Standings
from nodeagent.rpc.roster import Roster
from nodeagent.store.volumes import DISK
from nodeagent.wire.bucket_places import buckets_of
from nodeagent.wire.client import ChunkClient

FAR_MS = 1e9  # Of whom no round trip is known: last.


@dataclass(slots=True)
class WireFellows:
    own: NodeId
    client: ChunkClient

    async def prove(
        self, node: NodeId, chunk_ids: Sequence[bytes], nonce: bytes, fresh_s: float = 0.0
    ) -> Sequence[Proof]:
        asked, volume = node_of(node), volume_of(node) or DISK
        told = await self.client.verify(
            asked, chunk_ids, nonce, fresh_s=int(fresh_s), volume=volume
        )
        by_id = {one.chunk_id: one for one in told}
        return [_proof(node, by_id.get(chunk_id)) for chunk_id in chunk_ids]

    async def promise(
        self, node: NodeId, chunk_ids: Sequence[bytes], keep_s: float
    ) -> Collection[bytes]:
        asked, volume = node_of(node), volume_of(node) or DISK
        copies = await self.client.have(asked, chunk_ids, keep_s=int(keep_s), volume=volume)
        return {copy.chunk_id for copy in copies}

    async def push_here(self, node: NodeId, chunk_id: bytes, job: str) -> None:
        tree = [chunk_pb2.PutTree(node=self.own)]
        async for fact in self.client.push(node, chunk_id, tree, job):
            if fact.node == self.own:
                if fact.error:
                    raise fact.error
                return
        raise McError("COPIES_MISSING", f"{node} did not say what became of the copy")


def _proof(node: NodeId, told: chunk_pb2.ChunkProof | None) -> Proof:
    if told is None:
        return Proof(node, reason="DEADLINE")  # Some were proven in time, and not this one.
    missing = not told.good and told.reason == "NOT_FOUND"
    return Proof(node, told.volume, told.good, missing, told.proof, told.reason)


class Views(Protocol):
    def view(self) -> View: ...


@dataclass(slots=True)
class ClusterMembers:
    """Members by the brain's view, distances by the roster's."""

    facts: Views
    roster: Roster
    measured: Callable[[], Mapping[NodeId, Measured]]
    lost: Mapping[NodeId, tuple[str, float]]  # What was told of it last, and since when.
    hold_s: float  # From lost to gone.
    clock_s: Callable[[], float] = time.monotonic
    started_s: float = field(default_factory=time.monotonic)

    @property
    def own(self) -> Site:
        return Site(_domain(self.roster.own), self.roster.own.id)

    def others(self) -> Sequence[Site]:
        measured = self.measured()
        found = [
            Site(member.facts.domain, node)
            for node, member in self.facts.view().members.items()
            if node != self.roster.own.id and member.facts and member.knowing in _ASKED
        ]

        def far_ms(site: Site) -> float:
            known = measured.get(site.node)
            return known.ms if known else FAR_MS

        return sorted(found, key=lambda site: (far_ms(site), site.node))

    def buckets(self) -> Sequence[Site]:
        """Those that others serve; who cannot be asked serves none."""
        return [
            Site(bucket.facts.domain, bucket.id, bucket.facts.bucket)
            for node, member in self.facts.view().members.items()
            if node != self.roster.own.id and member.knowing in _ASKED
            for bucket in buckets_of(member)
            if bucket.facts is not None
        ]

    def away(self) -> Sequence[NodeId]:
        """Those also of whom nothing but their name is known yet."""
        return sorted(
            node
            for node, member in self.facts.view().members.items()
            if node != self.roster.own.id
            and (member.knowing in _AWAY or (member.knowing in _ASKED and not member.facts))
        )

    def standings(self) -> Standings:
        """Buckets stand beside the members; they stay when the node that serves one is emptied."""
        found: dict[NodeId, Standing] = {}
        for node, member in self.facts.view().members.items():
            found[node] = standing = self._standing(member)
            for one in buckets_of(member):
                assert one.facts is not None
                site = Site(one.facts.domain, one.id, one.facts.bucket)
                found[one.id] = replace(standing, site=site, draining=False)
        return found

    def frozen(self) -> bool:
        return self.facts.view().frozen

    def begun(self) -> bool:
        """Who has just begun knows few of the others, and would take their copies for missing."""
        return self.clock_s() - self.started_s >= self.hold_s

    def _standing(self, member: Member) -> Standing:
        told, own = member.facts, member.id == self.roster.own.id
        peer = self.roster.peers.get(member.id)
        said = self.roster.own if own else peer.facts if peer else None
        volumes = said.volumes if said else ()
        return Standing(
            Site(told.domain if told else Domain("", ""), member.id),
            Presence.HERE if own else self._presence(member),
            bool(told and told.draining),
            told.generation if told else 0,
            # A failed one may have lost what it took; of one that is not named nothing is left.
            frozenset(v.uuid for v in volumes if v.state != common_pb2.VOLUME_STATE_FAILED)
            if volumes
            else None,
            said.copies.dropped if said else 0,
        )

    def _presence(self, member: Member) -> Presence:
        if member.knowing is Knowing.REMOVED:
            return Presence.GONE
        if member.knowing in (Knowing.ALIVE, Knowing.SUSPECT):
            return Presence.HERE if member.facts else Presence.DOUBTED
        # Whoever had left before this node began is lost since then at least.
        what, since_s = self.lost.get(member.id, ("", self.started_s))
        if member.knowing is Knowing.LEFT:
            gone = self.clock_s() - since_s >= self.hold_s
        elif member.knowing is Knowing.DEAD:
            gone = what == "node.gone"
        else:
            return Presence.DOUBTED
        return Presence.GONE if gone else Presence.AWAITED

    def name(self, node: NodeId) -> str:
        if node == self.roster.own.id:
            return self.roster.own.name
        peer = self.roster.peers.get(node)
        if is_bucket(node):
            return f"a bucket of {self.name(node_of(node))}"
        return peer.name if peer else node

    def is_draining(self, node: NodeId) -> bool:
        if node == self.roster.own.id:
            return self.roster.own.draining
        member = self.facts.view().members.get(node)
        return bool(member and member.facts and member.facts.draining)


_ASKED = (Knowing.ALIVE, Knowing.SUSPECT, Knowing.UNREACHABLE)  # The others cannot answer.

_AWAY = (Knowing.DOWN, Knowing.DEAD)


def _domain(facts: common_pb2.NodeFacts) -> Domain:
    return Domain(facts.domain.cloud, facts.domain.region, facts.domain.zone)


@dataclass(slots=True)
class EveryMember:
    """Where copies may be while no ledger tells: anywhere, also with those who are away."""

    members: ClusterMembers

    async def holders(self, chunk_id: bytes) -> Sequence[NodeId]:
        return [*(site.node for site in self.members.others()), *self.members.away()]
