"""Opens a job's source on this node, wherever it is: `contract.Sources` of a real node."""

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.types import Domain
from multicloud.errors import McError
from multicloud.v1 import source_pb2
from nodeagent.jobs.contract import Reach, Source
from nodeagent.jobs.sources.elsewhere import DirectSource
from nodeagent.jobs.sources.own import OwnSources
from nodeagent.jobs.sources.readers import Readers
from nodeagent.jobs.sources.relayed import LaptopSource
from nodeagent.jobs.sources.remote import RemoteSource
from nodeagent.jobs.sources.uris import DIRECT, LAPTOP, parse
from nodeagent.jobs.sources.world import World
from nodeagent.wire.ground import Links

# How near a node is to where the source is: it crosses nothing, zones, regions, clouds.
HERE, ZONE, REGION, CLOUD, FAR = 0.0, 1.0, 2.0, 3.0, 4.0


@dataclass(slots=True)
class NodeSources:
    world: World
    links: Links
    own: OwnSources
    readers: Readers

    async def open(
        self, job: str, uri: str, include: Sequence[str] = (), exclude: Sequence[str] = ()
    ) -> Source:
        """As `contract.Sources` says. NODE_UNKNOWN, NOT_ALLOWED, BAD_REQUEST and UNSUPPORTED say
        that it will never do.
        """
        name = parse(uri)
        ref = source_pb2.SourceRef(job=job, source=uri, include=include, exclude=exclude)
        if name.kind == LAPTOP:
            return LaptopSource(self.world, self.links, self.own, ref)
        if name.kind in DIRECT:
            return DirectSource(self.readers, ref)
        if self.own.has(ref):
            return await self.own.open(ref)
        remote = RemoteSource(self.world, self.links, self._node(name.host), ref)
        await remote.find()
        return remote

    def nearness(self, job: str, uri: str, node: str) -> float:
        """From HERE to FAR, what is not known is far; of a bucket in milliseconds."""
        name = parse(uri)
        if name.kind in DIRECT:
            return self.readers.cost(uri, node)
        if name.kind == LAPTOP:
            # A node that somebody relays for has no stream of its own.
            return FAR if self.own.laptops.relays_for(job, node) else HERE
        host = self._node(name.host)
        return HERE if host == node else _apart(self._domain(host), self._domain(node))

    def reach(self, uri: str) -> Reach:
        if parse(uri).kind not in DIRECT:
            return Reach()
        return self.readers.reach(uri)

    def _domain(self, node: str) -> Domain | None:
        member = self.world.view().members.get(node)
        return member.facts.domain if member and member.facts else None

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
        self.readers.forget()
        await self.own.close()


def _apart(one: Domain | None, other: Domain | None) -> float:
    if one is None or other is None or one.cloud != other.cloud:
        return FAR
    if one.region != other.region:
        return CLOUD
    return ZONE if one.zone and one.zone == other.zone else REGION
