"""One bucket on a real server of each kind, with bad days in front of it."""

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azure.storage.blob.aio import ContainerClient

from nodeagent.clouds.contract import AZURE, GCS, S3, Bucket, Place, Shape
from nodeagent.clouds.credentials import Secret
from nodeagent.clouds.making import NodeClouds
from nodeagent.clouds.s3_client import client_of
from nodeagent.clouds.way import Way
from nodeagent.config.model import Clouds, Endpoint
from tests.clouds.conformance import PAGE_KEYS, PART_BYTES
from tests.support.servers import azurite, swift
from tests.support.servers.fault_proxy import FaultProxy, fault_proxy

LAB = "lab"


async def make_swift_bucket(url: str, name: str, key: Path) -> Any:
    """And the client that made it."""
    way = Way(S3, LAB, url, credentials=Secret(f"file:{key}"))
    client = await asyncio.to_thread(client_of, way)
    await asyncio.to_thread(client.create_bucket, Bucket=name)
    return client


async def make_azure_container(url: str, name: str) -> None:
    async with ContainerClient(url, name, azurite.KEY) as client:
        await client.create_container()


def make_gcs_bucket(url: str, name: str) -> None:
    body = json.dumps({"name": name}).encode()
    request = urllib.request.Request(
        f"{url}/storage/v1/b?project=p", body, {"content-type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=30).close()


@dataclass
class Kind:
    name: str
    bucket: Bucket
    clouds: NodeClouds
    proxy: FaultProxy
    key: Path  # Of the credentials, where the server asks for any.
    settings: dict[str, Any] = field(default_factory=dict)

    def limit(self, **more: Any) -> None:
        self.settings |= more


@asynccontextmanager
async def kind_of(
    name: str, url_of: Callable[[str], str], bucket: str, folder: Path
) -> AsyncIterator[Kind]:
    """`url_of` starts the server of a kind, or finds the one that runs."""
    url, key = url_of(name), folder / "key"
    key.touch(0o600)
    match name:
        case "s3":
            key.write_text(swift.KEY)
            (await make_swift_bucket(url, bucket, key)).close()
        case "gs":
            make_gcs_bucket(url, bucket)
        case "az":
            key.write_text(azurite.KEY)
            await make_azure_container(url, bucket)
            bucket = f"{azurite.ACCOUNT}/{bucket}"
    async with fault_proxy(url) as proxy:
        credentials = "anonymous" if name == "gs" else f"file:{key}"
        endpoint = Endpoint.model_validate(
            {"kind": name, "url": proxy.url, "credentials": credentials}
        )
        limits: dict[str, Any] = {"silent_s": 2.0}
        clouds = NodeClouds(
            lambda: Clouds.model_validate({"endpoints": {LAB: endpoint}, **limits}),
            shape=Shape(PAGE_KEYS, PART_BYTES),
        )
        kinds = {"s3": S3, "gs": GCS, "az": AZURE}
        made = await clouds.bucket(Place(kinds[name], bucket, LAB))
        try:
            yield Kind(name, made, clouds, proxy, key, limits)
        finally:
            await clouds.close()
