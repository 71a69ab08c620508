"""Who and what the S3 endpoint refuses, on real connections, and that no reader holds it up."""

import asyncio
import time
from urllib.parse import urlsplit

import boto3
import botocore.config
import pytest

from tests.reading.conftest import BIG, MIB, Person
from tests.reading.endpoint import Endpoint

WHOLE = b"".join(BIG)


def link(s3: Endpoint, key: list[str], path: str, seconds: int = 60) -> str:
    """A presigned URL, as path and query."""
    config = botocore.config.Config(signature_version="s3v4", s3={"addressing_style": "path"})
    client = boto3.client(
        "s3",
        endpoint_url=s3.url,
        region_name="us-east-1",
        aws_access_key_id=key[0],
        aws_secret_access_key=key[1],
        config=config,
    )
    bucket, _, name = path.partition("/")
    params = {"Bucket": bucket, "Key": name}
    url = urlsplit(client.generate_presigned_url("get_object", params, ExpiresIn=seconds))
    return f"{url.path}?{url.query}"


async def connected(s3: Endpoint) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = urlsplit(s3.url)
    return await asyncio.open_connection("localhost", url.port, ssl=s3.tls(), limit=64 << 10)


async def answer(s3: Endpoint, target: str, *headers: str, method: str = "GET") -> bytes:
    reader, writer = await connected(s3)
    host = urlsplit(s3.url).netloc
    lines = [f"{method} {target} HTTP/1.1", f"host: {host}", "connection: close", *headers, "", ""]
    writer.write("\r\n".join(lines).encode())
    async with asyncio.timeout(20):
        whole = await reader.read()
    writer.close()
    return whole


def with_(target: str, old: str, new: str) -> str:
    assert old in target
    return target.replace(old, new)


async def test_a_presigned_url_reads_and_no_change_of_it_does(person: Person, s3: Endpoint) -> None:
    key = await s3.key()
    target = link(s3, key, "corpus/table.md")
    good = await answer(s3, target)
    assert good.startswith(b"HTTP/1.1 200")
    assert good.endswith(b"\r\n\r\n# ids and texts\n")
    part = await answer(s3, target, "range: bytes=2-4")
    assert part.startswith(b"HTTP/1.1 206")
    assert part.endswith(b"\r\n\r\nids")
    for changed, code in (
        (with_(target, "corpus", "corpus.v1"), b"SignatureDoesNotMatch"),
        (with_(target, "table.md", "big.bin"), b"SignatureDoesNotMatch"),
        (with_(target, "Expires=60", "Expires=61"), b"SignatureDoesNotMatch"),
        (with_(target, "Expires=60", "Expires=9999999"), b"QueryParametersError"),
        (f"{target}&prefix=x", b"SignatureDoesNotMatch"),
        (target.partition("&X-Amz-Signature")[0], b"QueryParametersError"),
        (target.partition("?")[0], b"AccessDenied"),
        (f"{target}%zz", b"InvalidURI"),
    ):
        refused = await answer(s3, changed)
        assert code in refused, (changed, refused)
        assert b"<RequestId>" in refused
        assert b"x-amz-request-id: " in refused
    assert b"SignatureDoesNotMatch" in await answer(s3, target, method="POST")
    unsigned = await answer(s3, target, "x-amz-security-token: abc")
    assert b"not signed: x-amz-security-token" in unsigned


async def test_an_expired_url_and_a_wrong_clock_are_told_apart(
    person: Person, s3: Endpoint
) -> None:
    key = await s3.key()
    target = link(s3, key, "corpus/table.md", seconds=1)
    async with asyncio.timeout(10):
        while b"until it expired" not in await answer(s3, target):
            await asyncio.sleep(0.2)


async def test_without_tls_there_is_nothing(s3: Endpoint) -> None:
    reader, writer = await asyncio.open_connection("localhost", urlsplit(s3.url).port)
    writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
    async with asyncio.timeout(10):
        with pytest.raises((ConnectionError, AssertionError)):
            assert await reader.read()
    writer.close()


async def test_a_client_that_takes_nothing_is_cut_off_and_its_turn_is_free(
    person: Person, s3: Endpoint
) -> None:
    await person.trio.put("large", "1", {b"x": [bytes(16 * MIB)]})
    versions = s3.node.node.jobs.datasets.versions
    await versions.find("large", "1")
    key = await s3.key()
    target = link(s3, key, "large.v1/x")
    reader, writer = await connected(s3)
    host = urlsplit(s3.url).netloc
    writer.write(f"GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    door = s3.node.node.s3._door
    async with asyncio.timeout(20):
        await door.emptied()  # Nothing more was taken; stall_s is 2 s.
    got = 0
    with pytest.raises(ConnectionError):
        while data := await reader.read(MIB):
            got += len(data)
        raise ConnectionResetError("ended")
    assert got < 16 * MIB
    writer.close()


async def test_a_connection_that_asks_nothing_is_ended(s3: Endpoint) -> None:
    reader, writer = await connected(s3)
    writer.write(b"GET / HTTP/1.1\r\nhost: ")
    began_s = time.monotonic()
    async with asyncio.timeout(20):
        with pytest.raises((ConnectionError, AssertionError)):
            assert await reader.read()
    assert time.monotonic() - began_s >= 1.0
    writer.close()


async def test_two_lengths_in_one_request_are_refused(s3: Endpoint) -> None:
    for lines in (
        ("content-length: 4", "content-length: 5"),
        ("content-length: 4", "transfer-encoding: chunked"),
        ("transfer-encoding: chunked, identity",),
    ):
        refused = await answer(s3, "/", *lines)
        assert refused.startswith((b"HTTP/1.1 400", b"HTTP/1.1 403", b"HTTP/1.1 501")), refused
        assert refused.count(b"HTTP/1.1 ") == 1
