"""Real nodes that serve sources, and laptops in front of them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from coordinator.types import View
from identity.records import trust_json
from multicloud.client import Client
from multicloud.context import Context, Endpoint
from multicloud.errors import McError
from multicloud.v1 import job_pb2, records_pb2, task_pb2
from nodeagent.council.inmemory import InMemoryCouncil
from nodeagent.jobs.contract import Source
from nodeagent.jobs.sources.opening import NodeSources
from nodeagent.jobs.sources.own import OwnSources
from nodeagent.jobs.sources.owners import Owners
from nodeagent.jobs.sources.service import SourceService
from nodeagent.jobs.sources.streams import Laptops
from nodeagent.node import Node
from nodeagent.rpc.services import all_rpcs
from tests.support.nodes import Running
from tests.support.people import CLUSTER, People

JOB = "j" * 20


@dataclass(frozen=True)
class World:
    """A node as its sources see it."""

    node: Node

    @property
    def own(self) -> str:
        return self.node.roster.own.id

    def view(self) -> View:
        return self.node.view()

    def name_of(self, node: str) -> str:
        peer = self.node.roster.find(node)
        return peer.name if peer else self.node.roster.own.name

    def channel(self, node: str) -> grpc.aio.Channel:
        peer = self.node.roster.peers.get(node)
        if peer is None or not peer.facts:
            raise McError("UNREACHABLE", f"no way to {node} is known")
        return self.node.peers.channel(node, peer.facts.endpoints[0].api)

    def is_there(self, node: str) -> bool:
        return node in self.view().members


@dataclass
class Site:
    """A node with its sources."""

    running: Running
    council: InMemoryCouncil
    roots: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        node = self.running.node
        threads = ThreadPoolExecutor(2)
        own = OwnSources(
            node.roster.own.name, node.roster.is_own, lambda: self.roots, Laptops(), threads
        )
        self.own = own
        self.sources = NodeSources(World(node), own)
        self.service = SourceService(own, Owners(self.council).may_serve, lambda: 5.0)
        served = all_rpcs({"SourceService": [self.service]})
        guard = node.api_guard
        guard.rpcs = {**guard.rpcs, **{path: rpc for path, rpc in served.items() if rpc.serve}}

    @property
    def id(self) -> str:
        return self.running.place.id

    def endpoint(self) -> Endpoint:
        return Endpoint(self.id, self.running.place.name, self.running.address)


async def submitted(council: InMemoryCouncil, who: str, uri: str, job: str = JOB) -> None:
    spec = job_pb2.JobSpec(source=uri)
    header = records_pb2.JobHeader(id=job, spec=spec, submitter=who)
    seen = await council.get(f"job/{job}")
    value = header.SerializeToString()
    await council.compare_and_set(f"job/{job}", seen.version, value, str(seen.version))


@asynccontextmanager
async def laptop(
    people: People, name: str, role: str, sites: Sequence[Site]
) -> AsyncIterator[Client]:
    """An operator's, connected to the first that answers."""
    who, trust = people.operator(name, role), trust_json(people.authority.trust)
    endpoints = tuple(site.endpoint() for site in sites)
    context = Context(CLUSTER, CLUSTER, endpoints, who.certificate_pem, who.key_pem, trust)
    async with Client(context) as client:
        yield client


async def objects(source: Source, size: int = 1000) -> list[task_pb2.ListedObject]:
    page = await source.page("", size)
    found = list(page.objects)
    while not page.last:
        page = await source.page(page.cursor, size)
        found += page.objects
    return found


async def whole(source: Source, one: task_pb2.ListedObject) -> bytes:
    asked = task_pb2.TaskInput(path=one.path, etag=one.etag, size_bytes=one.size_bytes)
    return await source.read(asked, 0, one.size_bytes)


async def eventually(source: Source, within_s: float = 15.0) -> list[task_pb2.ListedObject]:
    """What a source lists once it is there."""
    async with asyncio.timeout(within_s):
        while True:
            try:
                return await objects(source)
            except McError as error:
                if error.reason != "SOURCE_AWAY":
                    raise
            await asyncio.sleep(0.05)
