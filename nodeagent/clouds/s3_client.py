"""Clients of boto3 as our driver wants them: no retries of their own, keys read anew each time.

Importing this imports the SDK, which takes most of a second: only `making` does, in a thread.
"""

import logging
from typing import Any

from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import ClientError
from botocore.loaders import create_loader
from botocore.session import Session

from multicloud.errors import McError
from nodeagent.clouds.contract import Place, Shape, Turns
from nodeagent.clouds.credentials import Secret, access_key
from nodeagent.clouds.s3 import S3Bucket
from nodeagent.clouds.s3_errors import mapped
from nodeagent.clouds.threads import Threads
from nodeagent.clouds.way import Way

# What the SDK would tell of each request has the session's token in it.
logging.getLogger("botocore").setLevel(logging.WARNING)
logging.getLogger("urllib3").setLevel(logging.WARNING)

NOWHERE = "us-east-1"  # What servers that know no regions call theirs.
_REGION = "x-amz-bucket-region"
_MODELS = create_loader()  # Read once, for all clients.


async def connect(way: Way, threads: Threads) -> "S3Connection":
    return S3Connection(way, threads)


class S3Connection:
    """A client for each region that has a bucket of ours."""

    def __init__(self, way: Way, threads: Threads) -> None:
        self._way = way
        self._threads = threads
        self._clients: dict[str, Any] = {}

    async def bucket(self, place: Place, shape: Shape, turns: Turns) -> S3Bucket:
        region = self._way.region
        if not (region or self._way.url):
            region = await self._region_of(place, turns)
        client = await self._client(region)
        made = (place, self._way, client, self._threads)
        return S3Bucket(*made, region=region, shape=shape, turns=turns)

    async def close(self) -> None:
        for client in self._clients.values():
            await self._threads.run(client.close)
        self._clients.clear()

    async def _client(self, region: str) -> Any:
        if region not in self._clients:
            self._clients[region] = await self._threads.run(lambda: client_of(self._way, region))
        return self._clients[region]

    async def _region_of(self, place: Place, turns: Turns) -> str:
        """S3 tells it also to whom it tells nothing else. Empty when it does not."""
        client = await self._client("")

        def work() -> str:
            try:
                answer = client.head_bucket(Bucket=place.bucket)
            except ClientError as error:
                answer = error.response
            return str(answer["ResponseMetadata"]["HTTPHeaders"].get(_REGION, ""))

        async def call() -> str:
            try:
                return await self._threads.run(work)
            except Exception as error:  # noqa: BLE001  An SDK raises what it likes.
                raise mapped(error, "HeadBucket", self._way, place, "") from None

        try:
            return await turns.take("HeadBucket", call)
        except McError:
            return ""  # The first real request meets the same and says it.


def client_of(way: Way, region: str = "") -> Any:
    """Blocks: boto3 reads its models from disk."""
    session = Session()
    session.register_component("data_loader", _MODELS)
    if not (way.credentials.chain or way.credentials.anonymous):
        _sign_with(session, way.credentials)
    config = Config(
        signature_version=UNSIGNED if way.credentials.anonymous else None,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=way.requests_at_once_max,
        connect_timeout=way.connect_timeout_s,
        read_timeout=way.read_timeout_s,
        tcp_keepalive=True,
        # Checksums are made and compared by the driver, in both profiles.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if way.url else "auto"},
        user_agent_extra="multicloud",
    )
    return session.create_client(
        "s3",
        region_name=region or way.region or (NOWHERE if way.url else None),
        endpoint_url=way.url or None,
        verify=str(way.ca_file) if way.ca_file else None,
        config=config,
    )


class _Referred(Credentials):  # type: ignore[misc]
    """Each request asks for the keys, so renewed ones count from the next request on."""

    def __init__(self, secret: Secret) -> None:
        super().__init__("referred", "referred")
        self._secret = secret

    def get_frozen_credentials(self) -> Any:
        key = access_key(self._secret)
        return ReadOnlyCredentials(key.id, key.secret, key.token)


class _Provider:
    METHOD = CANONICAL_NAME = "multicloud"

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def load(self) -> Any:
        return _Referred(self._secret)


def _sign_with(session: Any, secret: Secret) -> None:
    session.get_component("credential_provider").providers.insert(0, _Provider(secret))
