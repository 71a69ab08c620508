"""What `mcctl check` says of clouds: what works, and the exact remedy for what does not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from multicloud.v1 import admin_pb2
from nodeagent.clouds.contract import S3, Abilities, Bucket, Place
from nodeagent.clouds.making import NodeClouds
from nodeagent.clouds.memory import MemoryBucket
from nodeagent.config.model import Clouds, Config, Endpoint
from nodeagent.rpc import cloud_checks
from tests.clouds.kinds import make_swift_bucket
from tests.support.servers import swift

NODE = {"id": "0" * 16, "name": "aws-a", "cluster": "c", "cloud": "aws", "region": "r"}


def config_of(**endpoints: Endpoint) -> Config:
    return Config.model_validate({"node": NODE, "clouds": Clouds(endpoints=endpoints)})


async def checked(config: Config) -> dict[tuple[str, str], admin_pb2.Finding]:
    clouds = NodeClouds(lambda: config.clouds.model_copy(update={"tries_max": 1}))
    try:
        found = await cloud_checks.clouds("aws-a", clouds, config)
    finally:
        await clouds.close()
    return {(one.code, one.subject): one for one in found}


def lab(url: str, key: Path, **more: Any) -> Endpoint:
    given = {"kind": "s3", "url": url, "credentials": f"file:{key}"}
    return Endpoint.model_validate(given | more)


async def test_buckets_are_tried_and_what_works_is_told(
    name: str, swift_url: str, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.touch(0o600)
    key.write_text(swift.KEY)
    client = await make_swift_bucket(swift_url, name, key)
    try:
        found = await checked(
            config_of(lab=lab(swift_url, key, writes=[name], reads=["gone-it-is"]))
        )
        works = found["CLOUD_OK", f"aws-a -> s3://{name} at lab"]
        assert works.what == (
            "lists, reads ranges, writes, deletes, keeps put-if-absent, refuses wrong checksums"
        )
        refused = found["CLOUD_REFUSED", "aws-a -> s3://gone-it-is at lab"]
        assert refused.severity == admin_pb2.SEVERITY_ERROR
        assert "there is no bucket s3://gone-it-is" in refused.what
        assert "check the name" in refused.next
        assert len(found) == 2
        key.write_text(swift.READER)
        found = await checked(config_of(lab=lab(swift_url, key, reads=[name])))
        refused = found["CLOUD_REFUSED", f"aws-a -> s3://{name} at lab"]
        assert f"s3:ListBucket on arn:aws:s3:::{name} is missing" in refused.what
        assert refused.next == f"grant this node s3:ListBucket on arn:aws:s3:::{name}"
        assert "reading" not in str(refused)
    finally:
        client.close()


async def test_what_cannot_be_reached_and_what_was_not_tried_is_told(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    nowhere = lab("https://127.0.0.1:1", missing, reads=["some"])
    found = await checked(config_of(nowhere=nowhere, idle=lab("https://127.0.0.1:1", missing)))
    refused = found["CLOUD_REFUSED", "aws-a -> s3://some at nowhere"]
    assert f"{missing} cannot be read" in refused.what
    untried = found["CLOUD_UNTRIED", "aws-a -> endpoint idle"]
    assert '[clouds.endpoints.idle] reads = ["BUCKET"]' in untried.next


class Odd(MemoryBucket):
    """An endpoint that keeps half of its promises, in another time."""

    async def probe(self, prefix: str, *, write: bool) -> Abilities:
        return Abilities(True, True, False, True, -90.0, ("it does not know put-if-absent",))


class OddClouds:
    async def bucket(self, place: Place) -> Bucket:
        return Odd(place)

    def places(self) -> list[tuple[Place, bool]]:
        return [(Place(S3, "corpus"), True)]


@pytest.fixture
def say() -> Callable[[list[admin_pb2.Finding]], list[tuple[str, str]]]:
    return lambda found: [(one.code, one.what) for one in found]


async def test_what_an_endpoint_lacks_and_a_wrong_clock_are_warnings(
    say: Callable[[list[admin_pb2.Finding]], list[tuple[str, str]]],
) -> None:
    found = await cloud_checks.clouds("aws-a", OddClouds(), config_of())
    assert say(found) == [
        ("CLOUD_OK", "lists, reads ranges, writes, deletes, refuses wrong checksums"),
        ("CLOUD_LACKS", "it does not know put-if-absent"),
        ("CLOUD_CLOCK", "its clock and this machine's differ by 90 s"),
    ]


async def test_a_node_without_clouds_says_nothing_of_them() -> None:
    assert await cloud_checks.clouds("aws-a", None, config_of()) == []
