"""Clients of azure-storage-blob as our driver wants them: no retries, no redirects, keys anew.

Importing this imports the SDK, which takes most of a second: only `making` does, in a thread.
"""

import logging
from typing import Any

from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.identity.aio import DefaultAzureCredential
from azure.storage.blob.aio import ContainerClient

from multicloud.errors import McError
from nodeagent.clouds.azure import PIECE_BYTES_MAX, AzureBucket
from nodeagent.clouds.contract import Place, Shape, Turns
from nodeagent.clouds.threads import Threads
from nodeagent.clouds.way import Way

BLOCK_BYTES_MAX = 4000 << 20  # What one request may put; our own parts are far smaller.

logging.getLogger("azure").setLevel(
    logging.WARNING
)  # It would tell each request, with its headers.


async def connect(way: Way, threads: Threads) -> "AzureConnection":
    return AzureConnection(way, threads)


class AzureConnection:
    """A client for each container, made anew when the credentials are other ones."""

    def __init__(self, way: Way, threads: Threads) -> None:
        self._way = way
        self._threads = threads
        self._chain: DefaultAzureCredential | None = None
        self._known: dict[str, tuple[str, ContainerClient]] = {}
        self._old: list[ContainerClient] = []

    async def bucket(self, place: Place, shape: Shape, turns: Turns) -> AzureBucket:
        account, slash, container = place.bucket.partition("/")
        if not (account and slash and container) or "/" in container:
            what = f"{place.uri} names no container: write az://ACCOUNT/CONTAINER"
            raise McError("CONFIG_INVALID", what, next="correct the name of the bucket")

        async def client() -> ContainerClient:
            return await self._client(account, container)

        return AzureBucket(place, self._way, client, shape=shape, turns=turns)

    async def close(self) -> None:
        for client in (*self._old, *(client for _, client in self._known.values())):
            await client.close()
        if self._chain is not None:
            await self._chain.close()
        self._old, self._known, self._chain = [], {}, None

    async def _client(self, account: str, container: str) -> ContainerClient:
        secret = self._way.credentials
        text = "" if secret.chain or secret.anonymous else await self._threads.run(secret.read)
        name = f"{account}/{container}"
        known = self._known.get(name)
        if known is not None and known[0] == text:
            return known[1]
        if known is not None:
            self._old.append(known[1])  # Requests are still under way with it.
        made = self._made(account, container, self._credential(account, text.strip()))
        self._known[name] = text, made
        return made

    def _made(self, account: str, container: str, credential: Any) -> ContainerClient:
        way = self._way
        return ContainerClient(
            way.url or f"https://{account}.blob.core.windows.net",
            container,
            credential,
            retry_total=0,
            permit_redirects=False,
            connection_timeout=way.connect_timeout_s,
            read_timeout=way.read_timeout_s,
            connection_verify=str(way.ca_file) if way.ca_file else True,
            max_single_put_size=BLOCK_BYTES_MAX,
            max_single_get_size=PIECE_BYTES_MAX,
            max_chunk_get_size=PIECE_BYTES_MAX,
            user_agent="multicloud",
        )

    def _credential(self, account: str, text: str) -> Any:
        """Of a connection string, a shared access signature, or an account's key."""
        if self._way.credentials.anonymous:
            return None
        if self._way.credentials.chain:
            self._chain = self._chain or DefaultAzureCredential()
            return self._chain
        given = dict(part.partition("=")[::2] for part in text.split(";") if "=" in part)
        if "AccountKey" in given:
            return AzureNamedKeyCredential(given.get("AccountName", account), given["AccountKey"])
        if "SharedAccessSignature" in given:
            return AzureSasCredential(given["SharedAccessSignature"])
        if "sig=" in text:
            return AzureSasCredential(text.removeprefix("?"))
        if text and not any(mark in text for mark in " \n;&"):
            return AzureNamedKeyCredential(account, text)
        raise self._way.credentials.malformed("a connection string, a SAS or an account's key")
