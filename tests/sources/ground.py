"""Real nodes that serve sources, and laptops in front of them."""

import asyncio
import random
import string
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from identity.records import trust_json
from multicloud.client import Client
from multicloud.context import Context, Endpoint
from multicloud.errors import McError
from multicloud.v1 import common_pb2, job_pb2, records_pb2, task_pb2
from nodeagent.council.contract import Council
from nodeagent.jobs.contract import SMALL_BYTES, ReadsSeveral, SkippedObject, Source
from nodeagent.jobs.sources.making import SourcesPart
from nodeagent.jobs.sources.opening import NodeSources
from nodeagent.jobs.sources.streams import Laptops
from tests.support.nodes import Running
from tests.support.people import CLUSTER, People


@dataclass
class Site:
    """A node with its sources."""

    running: Running

    @property
    def part(self) -> SourcesPart:
        part = self.running.node.jobs.plane.near.sources_part
        assert part is not None
        return part

    @property
    def sources(self) -> NodeSources:
        return self.part.sources

    @property
    def laptops(self) -> Laptops:
        return self.sources.own.laptops

    @property
    def council(self) -> Council:
        return self.running.node.council.part.council

    @property
    def id(self) -> str:
        return self.running.place.id

    def endpoint(self) -> Endpoint:
        return Endpoint(self.id, self.running.place.name, self.running.address)

    async def allow(self, *roots: Path) -> None:
        """From now on jobs may read these folders of it; a reload of its configuration."""
        file = self.running.place.config
        text = file.read_text().partition("[source]")[0]
        named = ", ".join(f'"{root}"' for root in roots)
        file.write_text(f"{text}[source]\nroots = [{named}]\n")
        await self.running.settings.reload()


async def submitted(site: Site, who: str, uri: str) -> str:
    """A job of somebody's that reads this source; nobody works on it."""
    job = "".join(random.choices(string.ascii_lowercase + string.digits, k=20))
    spec = job_pb2.JobSpec(source=uri)
    header = records_pb2.JobHeader(id=job, spec=spec, submitter=who, steward="f" * 16)
    value = header.SerializeToString()
    outcome = await site.council.compare_and_set(f"job/{job}", 0, value, f"submit/{job}")
    assert outcome.changed
    return job


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


async def away(reading: Coroutine[Any, Any, Any]) -> None:
    """It fails because its source went away, not otherwise."""
    with pytest.raises(McError) as caught:
        await reading
    assert caught.value.reason == "SOURCE_AWAY"


async def outcome(reading: Coroutine[Any, Any, bytes]) -> bytes | str:
    try:
        return await reading
    except SkippedObject as skipped:
        return skipped.why


async def same(source: Source, folder: Path) -> None:
    """It lists and gives every byte of a folder."""
    found = await objects(source, 2)
    assert sorted(one.path.decode() for one in found) == sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
    )
    for one in found:
        data = await whole(source, one)
        assert data == (folder / one.path.decode()).read_bytes()
    small = [one for one in found if one.size_bytes <= SMALL_BYTES]
    assert isinstance(source, ReadsSeveral)
    gone = task_pb2.TaskInput(path=b"gone", etag="x")
    *several, none = await source.read_several([*(ranged(one) for one in small), gone])
    assert several == [(folder / one.path.decode()).read_bytes() for one in small]
    assert isinstance(none, SkippedObject)


def ranged(one: task_pb2.ListedObject) -> task_pb2.TaskInput:
    size = common_pb2.ByteRange(size_bytes=one.size_bytes)
    return task_pb2.TaskInput(path=one.path, etag=one.etag, range=size)
