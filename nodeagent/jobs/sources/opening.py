"""Opens a job's source on this node, wherever it is: `contract.Sources` of a real node."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from multicloud.errors import McError
from multicloud.v1 import source_pb2
from nodeagent.jobs.contract import Source
from nodeagent.jobs.sources.own import OwnSources
from nodeagent.jobs.sources.relayed import LaptopSource
from nodeagent.jobs.sources.remote import RemoteSource
from nodeagent.jobs.sources.uris import LAPTOP, parse
from nodeagent.jobs.sources.world import World

RELAYED_MS = 1000.0  # A laptop through another node: only when nobody nearer is free.
UNKNOWN_MS = 500.0


@dataclass(slots=True)
class NodeSources:
    world: World
    own: OwnSources
    rtt_ms: Callable[[str, str], float | None] = lambda a, b: None

    async def open(
        self, job: str, uri: str, include: Sequence[str] = (), exclude: Sequence[str] = ()
    ) -> Source:
        """As `contract.Sources` says. NODE_UNKNOWN, NOT_ALLOWED, BAD_REQUEST and UNSUPPORTED say
        that it will never do.
        """
        name = parse(uri)
        ref = source_pb2.SourceRef(job=job, source=uri, include=include, exclude=exclude)
        if name.kind == LAPTOP:
            return LaptopSource(self.world, self.own, ref)
        if self.own.has(ref):
            return await self.own.open(ref)
        remote = RemoteSource(self.world, self._node(name.host), ref)
        await remote.find()
        return remote

    def nearness(self, job: str, uri: str, node: str) -> float:
        """Milliseconds from that node to where the source is; what is not known is far."""
        name = parse(uri)
        if name.kind == LAPTOP:
            # A node that somebody relays for has no stream of its own.
            return RELAYED_MS if self.own.laptops.relays_for(job, node) else 0.0
        host = self._node(name.host)
        if host == node:
            return 0.0
        ms = self.rtt_ms(host, node)
        return UNKNOWN_MS if ms is None else ms

    def _node(self, host: str) -> str:
        if self.own.is_own(host):
            return self.world.own
        members = self.world.view().members
        if host in members:
            return host
        found = [node for node in members if self.world.name_of(node) == host]
        if not found:
            raise McError("NODE_UNKNOWN", f"no node is called {host!r}")
        return found[0]

    async def close(self) -> None:
        await self.own.close()
