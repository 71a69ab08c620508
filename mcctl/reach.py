"""What the commands about nodes share: a client of the chosen cluster, and the way to each node."""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mcctl.options import options
from multicloud.client import PAGE_SIZE, Client
from multicloud.context import Contexts, Endpoint
from multicloud.v1 import admin_pb2, common_pb2
from multicloud.whois import split

RTT_S_MAX = 1.0
RTT_SAMPLES = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """A node as the cluster tells of it, and how far it is from here."""

    node: common_pb2.Node
    address: str
    rtt_ms: float | None = None  # None: not reached from here, or not asked.

    @property
    def fields(self) -> dict[str, Any]:
        """As documented for `mcctl nodes -o json`."""
        facts = self.node.facts
        volumes = facts.volumes
        return {
            "name": facts.name,
            "id": facts.id,
            "cloud": facts.domain.cloud,
            "region": facts.domain.region,
            "zone": facts.domain.zone,
            "address": self.address,
            "state": state_name(self.node.state),
            "chunks": sum(volume.chunks for volume in volumes),
            "bytes_used": sum(volume.bytes_used for volume in volumes),
            "bytes_free": sum(volume.bytes_free for volume in volumes),
            "rtt_ms": self.rtt_ms,
            "version": facts.version,
            "silent_s": round(self.node.silent_s, 3),
            "certificate_ends": self.node.certificate_end_time or None,
            "leaving": self._leaving(),
        }

    def _leaving(self) -> dict[str, Any] | None:
        """Of a node that is being emptied."""
        if not self.node.facts.copies.HasField("leaving"):
            return None
        left = self.node.facts.copies.leaving
        return {
            "chunks_left": left.chunks,
            "bytes_left": left.bytes,
            "done": left.done,
            "waits": list(left.waits),
        }


def client() -> Client:
    """For the cluster and the nodes that the global options name."""
    return Client(Contexts(os.environ).load(options().context), options().nodes)


async def nodes(connected: Client) -> list[Seen]:
    """All nodes that are known: to the node that answers, and to the context."""
    found: list[common_pb2.Node] = []
    removed: list[str] = []
    token = ""
    while True:
        request = admin_pb2.ListNodesRequest(page_size=PAGE_SIZE, page_token=token)
        page = await connected.admin.ListNodes(request)
        found += page.nodes
        removed += page.removed
        token = page.next_page_token
        if not token:
            return with_missing(found, connected.context.endpoints, removed)


def with_missing(
    found: Sequence[common_pb2.Node], endpoints: Sequence[Endpoint], removed: Sequence[str] = ()
) -> list[Seen]:
    """A node that the context knows and the cluster does not tell of has not been heard at all,
    unless it was removed.
    """
    known = {endpoint.id: endpoint.address for endpoint in endpoints}
    told = {node.facts.id for node in found}
    missing = [
        common_pb2.Node(
            facts=common_pb2.NodeFacts(id=endpoint.id, name=endpoint.name),
            state=common_pb2.NODE_STATE_UNREACHABLE,
        )
        for endpoint in endpoints
        if endpoint.id not in told and endpoint.id not in removed
    ]
    # Our own address of a node goes first: the cluster may advertise one of a private network.
    seen = [Seen(node, known.get(node.facts.id) or _advertised(node)) for node in found]
    seen += [Seen(node, known[node.facts.id]) for node in missing]
    return sorted(seen, key=lambda one: one.node.facts.name)


async def measured(seen: Sequence[Seen]) -> list[Seen]:
    """The same with the time to each from here, all at once."""
    times = await asyncio.gather(*(rtt_ms(one.address) for one in seen))
    return [Seen(one.node, one.address, ms) for one, ms in zip(seen, times, strict=True)]


async def rtt_ms(address: str) -> float | None:
    """The time of a TCP handshake, which is one round trip; the least of a few."""
    if not address:
        return None
    host, port = split(address)
    took_s = []
    try:
        async with asyncio.timeout(RTT_S_MAX):
            for _ in range(RTT_SAMPLES):
                begun_s = time.perf_counter()
                _, writer = await asyncio.open_connection(host, port)
                took_s.append(time.perf_counter() - begun_s)
                writer.close()
    except OSError:  # Also TimeoutError; what was measured until then counts.
        pass
    return round(min(took_s) * 1000, 3) if took_s else None


def state_name(state: "common_pb2.NodeState.ValueType") -> str:
    return common_pb2.NodeState.Name(state).removeprefix("NODE_STATE_").lower()


def _advertised(node: common_pb2.Node) -> str:
    return node.facts.endpoints[0].api if node.facts.endpoints else ""
