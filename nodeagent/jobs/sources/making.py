"""The sources of a real node, made and joined."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from multicloud.v1 import source_pb2
from nodeagent.clouds.contract import Clouds
from nodeagent.config.model import Config
from nodeagent.council.contract import Council
from nodeagent.jobs.sources.direct import DirectSources
from nodeagent.jobs.sources.nearest import Distances
from nodeagent.jobs.sources.opening import NodeSources
from nodeagent.jobs.sources.own import OwnSources
from nodeagent.jobs.sources.owners import Owners
from nodeagent.jobs.sources.readers import Readers
from nodeagent.jobs.sources.service import SourceService
from nodeagent.jobs.sources.streams import Laptops
from nodeagent.jobs.sources.uris import NODE, parse
from nodeagent.jobs.sources.web.making import web_sources
from nodeagent.jobs.sources.world import World
from nodeagent.wire.ground import Links


@dataclass(frozen=True, slots=True)
class SourcesPart:
    """What jobs open, what others call, and the end of both."""

    sources: NodeSources
    service: SourceService

    def folder_here(self, uri: str) -> Path | None:
        """Of a source that this node reads itself, and that jobs may read."""
        name = parse(uri)
        if name.kind != NODE or not self.sources.own.has(source_pb2.SourceRef(source=uri)):
            return None
        return Path(os.fsdecode(name.path))

    async def close(self) -> None:
        await self.sources.close()
        await self.sources.own.direct.web.close()


def sources_part(
    world: World,
    links: Links,
    council: Council,
    config: Callable[[], Config],
    clouds: Clouds | None,
    distances: Distances,
) -> SourcesPart:
    own = config().node
    direct = DirectSources(
        own.name, clouds, web_sources(own.name, config().web, config().node.state_dir)
    )
    made = OwnSources(
        own.name,
        lambda host: host in (own.id, own.name),
        lambda: config().source.roots,
        Laptops(),
        ThreadPoolExecutor(config().source.reads_at_once_max, "source"),
        direct,
    )
    readers = Readers(world, links, direct, distances)
    service = SourceService(made, Owners(council).may_serve, lambda: config().limits.stream_stall_s)
    return SourcesPart(NodeSources(world, links, made, readers), service)
