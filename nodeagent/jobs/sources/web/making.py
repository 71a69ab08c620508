"""Web servers as this node reads them, by its configuration."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from multicloud.errors import McError
from multicloud.v1 import source_pb2
from nodeagent.config import model
from nodeagent.jobs.sources.globs import Globs
from nodeagent.jobs.sources.uris import SourceName
from nodeagent.jobs.sources.web.addresses import Allowed
from nodeagent.jobs.sources.web.client import Limits, WebClient
from nodeagent.jobs.sources.web.source import WebSource
from nodeagent.jobs.sources.web.spool import Spool


@dataclass(frozen=True, slots=True)
class WebSources:
    node: str
    client: WebClient
    spool: Spool

    def open(self, name: SourceName, ref: source_pb2.SourceRef) -> WebSource:
        if importlib.util.find_spec("aiohttp") is None:
            said = f"{self.node} has no library for web servers"
            raise McError("EXTRA_MISSING", said, next="install multicloud[node,clouds] there")
        globs = Globs(tuple(ref.include), tuple(ref.exclude))
        return WebSource(self.client, self.spool, name, globs)

    async def close(self) -> None:
        await self.client.close()
        await self.spool.close()


def web_sources(node: str, config: model.Web, folder: Path) -> WebSources:
    limits = Limits(
        Allowed.of(config.allow, node),
        config.plain,
        Path(config.ca_file) if config.ca_file else None,
        config.silent_s,
        config.object_bytes_max,
    )
    return WebSources(node, WebClient(limits), Spool(folder / "spool"))
