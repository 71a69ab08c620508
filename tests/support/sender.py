"""A node that only sends: it has an identity of the dev cluster's CA and stores nothing itself. It
seals and delivers to real daemons through the production code, and remembers what it was told.
"""

import asyncio
import os
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from coordinator.electorate import Ask
from coordinator.placement import Election
from coordinator.policy import Policy
from coordinator.rtt_table import RttTable
from coordinator.types import Domain, Facts, Knowing, Member, NodeId, Record, View
from identity.authority import Authority
from identity.keys import key_pem, new_key, new_node_id
from identity.names import Identity
from identity.trust import ca_pem
from mcctl.dev.folder import Folder
from multicloud import regions
from multicloud.channel import Credentials
from multicloud.client import Client
from multicloud.errors import McError
from multicloud.v1 import admin_pb2, common_pb2
from nodeagent.config.model import Limits
from nodeagent.core.chunk.codec import Codec
from nodeagent.core.chunk.keys import DatasetKey
from nodeagent.core.chunk.seal import Sealer
from nodeagent.core.delivery_words import Patience
from nodeagent.rpc.peers import Peers
from nodeagent.rpc.roster import STATES
from nodeagent.wire.budget import Budget
from nodeagent.wire.client import ChunkClient
from nodeagent.wire.deliver import Delivered, Deliverer
from nodeagent.wire.electing import Electing
from nodeagent.wire.ground import Ground
from nodeagent.wire.lanes import Lanes
from nodeagent.wire.outlet import Terms
from nodeagent.wire.sealing import Sealing, sealed_bytes_max

LOOK_EVERY_S = 0.25
LOOK_TIMEOUT_S = 2.0
PIECE_BYTES = 1 << 20
JOB = "job-1"
_KNOWING = {state: knowing for knowing, state in STATES.items() if knowing is not None}
_KNOWING[common_pb2.NODE_STATE_DRAINING] = Knowing.ALIVE


class Silent:
    """Telemetry that nobody looks at."""

    traceparent = ""

    @contextmanager
    def span(self, name: str, **_: Any) -> Iterator["Silent"]:
        yield self

    def past(self, *_: Any, **__: Any) -> str:
        return ""

    def fact(self, **facts: Any) -> None: ...
    def count(self, name: str, n: float = 1, **labels: str) -> None: ...
    def observe(self, name: str, value: float, **labels: str) -> None: ...


@dataclass
class Members:
    """What the nodes of a cluster say of each other, asked again and again."""

    client: Client
    nodes: dict[NodeId, common_pb2.Node] = field(default_factory=dict)
    _view: View = field(default_factory=lambda: View("", {}))

    async def look(self) -> None:
        """By the first node that answers."""
        for endpoint in self.client.context.endpoints:
            try:
                admin = (await self.client.to(endpoint.id)).admin
                request = admin_pb2.ListNodesRequest(page_size=100)
                answer = await admin.ListNodes(request, timeout=LOOK_TIMEOUT_S)
            except McError:
                continue  # It may be the one that was just killed.
            self.nodes = {node.facts.id: node for node in answer.nodes}
            members = {node: _member(said) for node, said in self.nodes.items()}
            self._view = View("", members)
            return

    async def follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look()

    def view(self) -> View:
        return self._view

    def rtts(self) -> RttTable:
        return RttTable(regions.load().rtt_ms)

    def address(self, node: NodeId) -> str:
        said = self.nodes.get(node)
        return said.facts.endpoints[0].api if said and said.facts.endpoints else ""

    def name(self, node: NodeId) -> str:
        return self.nodes[node].facts.name


def _member(said: common_pb2.Node) -> Member:
    own = said.facts
    taking = [v for v in own.volumes if v.state == common_pb2.VOLUME_STATE_HEALTHY]
    facts = Facts(
        node=own.id,
        generation=own.generation,
        version=own.revision,
        name=own.name,
        domain=Domain(own.domain.cloud, own.domain.region, own.domain.zone),
        draining=own.draining,
        bytes_total=sum(v.bytes_used + v.bytes_free for v in own.volumes),
        bytes_free=sum(v.bytes_free for v in taking),
        more=own.SerializeToString(),
    )
    knowing = _KNOWING.get(said.state, Knowing.UNREACHABLE)
    return Member(Record(own.id, own.generation), knowing, facts, said.silent_s)


@dataclass
class _Fixed:
    seen: View

    def view(self) -> View:
        return self.seen

    def rtts(self) -> RttTable:
        return RttTable(regions.load().rtt_ms)


@dataclass
class Sender:
    deliverer: Deliverer
    members: Members
    key: DatasetKey = field(
        default_factory=lambda: DatasetKey(secrets.token_bytes(16), secrets.token_bytes(32))
    )
    acked: dict[bytes, Delivered] = field(default_factory=dict)  # All that was ever promised.
    safe: dict[bytes, Delivered] = field(default_factory=dict)

    @property
    def node(self) -> str:
        return self.deliverer.ground.node

    def ask(self, plain: bytes, key: str, policy: Policy | None = None) -> Ask:
        size_bytes = sealed_bytes_max(len(plain))
        where = Domain("aws", "us-east-1")
        return Ask(policy or Policy(), where, key, size_bytes, source_node=self.node)

    def election_of_old_figures(self, plain: bytes, key: str) -> Election:
        """As if all nodes had the same room: the brain of a node that knows old figures."""
        view = self.members.view()
        alike = {
            node: replace(m, facts=replace(m.facts, bytes_total=1 << 40, bytes_free=1 << 40))
            for node, m in view.members.items()
            if m.facts
        }
        electing = Electing(_Fixed(replace(view, members=alike)), regions.load())
        return electing.elect(self.ask(plain, key), {})

    async def put(
        self,
        plain: bytes,
        key: str,
        *,
        election: Election | None = None,
        plain_of: Callable[[], AsyncGenerator[bytes, None]] | None = None,
    ) -> Delivered:
        """One chunk, by an election as the brain holds it."""
        ask = self.ask(plain, key)
        sealing = Sealing(self._sealer, plain_of or (lambda: pieces(plain)))
        return await self.deliverer.deliver(
            sealing.parts,
            election or self.deliverer.brain.elect(ask, {}),
            Terms(JOB, key, ask.size_bytes),
            on_acked=self._acked,
            on_safe=self._safe,
        )

    def _sealer(self) -> Sealer:
        return Sealer(self.key, salt=secrets.token_bytes(32), codec=Codec.NONE)

    def _acked(self, done: Delivered) -> None:
        self.acked[done.chunk_id] = done

    def _safe(self, done: Delivered) -> None:
        self.safe[done.chunk_id] = done


async def pieces(plain: bytes, every_s: float = 0.0) -> AsyncGenerator[bytes, None]:
    """As a source gives them, at its pace."""
    for start in range(0, len(plain), PIECE_BYTES):
        yield plain[start : start + PIECE_BYTES]
        await asyncio.sleep(every_s)


def credentials(folder: Folder, node: NodeId) -> Credentials:
    """Of a node that the dev cluster's authority issues now."""
    authority = Authority.open(folder.authority, folder.passphrase.read_text().strip())
    identity, key = Identity.node(authority.cluster, node), new_key()
    certificate = authority.issue(identity, node, ["node"], key.public_key(), 1, time.time())
    return Credentials(certificate, key_pem(key), ca_pem(authority.trust))


@asynccontextmanager
async def sending(
    client: Client,
    folder: Folder,
    *,
    patience: Patience | None = None,
    limits: Mapping[str, Any] | None = None,
    seed: int | None = None,
    round_s: float | None = 0.0,  # To every node: near. None: not known, as with far ones.
) -> AsyncIterator[Sender]:
    """A sender beside the cluster, as long as the block lasts."""
    node = new_node_id()
    shown = await asyncio.to_thread(credentials, folder, node)
    members = Members(client)
    await members.look()
    bounds = Limits(**(limits or {}))
    async with asyncio.TaskGroup() as group:
        peers = Peers(folder.cluster, lambda: shown, group.create_task)
        links = Lanes(peers, members.address, lambda _: round_s)
        budget = Budget(lambda: bounds)
        ground = Ground(node, links, budget, lambda: bounds, Silent(), lambda _: "")
        electing = Electing(members, regions.load())
        seed = int.from_bytes(os.urandom(4)) if seed is None else seed
        deliverer = Deliverer(ground, ChunkClient(links), electing, rng=Random(seed))
        if patience is not None:
            deliverer.patience = patience
        following = group.create_task(members.follow())
        try:
            yield Sender(deliverer, members)
        finally:
            following.cancel()
            await peers.close()
