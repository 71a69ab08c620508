"""Which buckets a node has: what is configured, what is not, and where none may be."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from multicloud.errors import McError
from nodeagent.clouds.contract import S3, Place
from nodeagent.clouds.guarded import is_metadata, refuse_metadata
from nodeagent.clouds.making import NodeClouds
from nodeagent.config.model import Clouds, Endpoint
from tests.clouds.conformance import refusal


def clouds_of(**endpoints: Endpoint) -> NodeClouds:
    settings = Clouds(endpoints=endpoints)
    return NodeClouds(lambda: settings)


async def test_an_endpoint_that_is_not_configured_is_named_with_the_nearest() -> None:
    clouds = clouds_of(ceph=Endpoint(kind="s3", url="https://ceph.example"))
    error = await refusal(clouds.bucket(Place(S3, "corpus", "cephh")))
    assert error.reason == "CONFIG_INVALID"
    assert "did you mean ceph?" in error.message
    assert "[clouds.endpoints.cephh]" in error.next


async def test_an_endpoint_of_another_kind_is_refused() -> None:
    clouds = clouds_of(ceph=Endpoint(kind="s3", url="https://ceph.example"))
    error = await refusal(clouds.bucket(Place("gs", "corpus", "ceph")))
    assert error.reason == "CONFIG_INVALID"


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "[::ffff:169.254.169.254]"],
)
async def test_no_endpoint_is_a_machines_own_metadata(host: str) -> None:
    clouds = clouds_of(trap=Endpoint(kind="s3", url=f"https://{host}/latest"))
    error = await refusal(clouds.bucket(Place(S3, "corpus", "trap")))
    assert error.reason == "NOT_ALLOWED"
    assert "their own credentials" in error.message


def test_metadata_addresses_are_known_and_others_are_let_through() -> None:
    assert is_metadata("fe80::1%eth0")
    assert not is_metadata("10.0.0.5")
    assert not is_metadata("127.0.0.1")
    refuse_metadata("http://127.0.0.1:9000")
    with pytest.raises(McError, match="has no address"):
        refuse_metadata("https://nobody.invalid")


def test_data_goes_nowhere_in_the_clear() -> None:
    for url in ("http://127.0.0.1:9000", "http://localhost:9000", "https://ceph.example"):
        assert Endpoint(kind="s3", url=url).url == url
    for url in ("http://10.0.0.5:9000", "http://127.evil.example:9000", "http://ceph.example"):
        with pytest.raises(ValidationError):
            Endpoint(kind="s3", url=url)


def test_places_are_those_of_the_configuration() -> None:
    lab = Endpoint(kind="s3", url="https://ceph.example", reads=["in", "both"], writes=["both"])
    assert clouds_of(lab=lab).places() == [
        (Place(S3, "both", "lab"), True),
        (Place(S3, "in", "lab"), False),
    ]


def test_a_daemon_without_clouds_loads_no_sdk() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import sys, nodeagent.daemon; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.split()
    assert "nodeagent.clouds.making" in said
    for sdk in ("botocore", "boto3", "google.cloud.storage", "azure", "google_crc32c"):
        assert sdk not in said
    for heavy in ("polars", "pyarrow", "aiohttp", "uvicorn"):  # Of workers, sources, the S3 door.
        assert heavy not in said
