"""Web servers as sources: what is read, how it is pinned, what no node is talked into asking."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from multicloud.errors import McError
from multicloud.v1 import source_pb2, task_pb2
from nodeagent.config.model import Web
from nodeagent.jobs.contract import CHANGED, GONE, UNREADABLE
from nodeagent.jobs.sources.uris import parse
from nodeagent.jobs.sources.web.addresses import Allowed
from nodeagent.jobs.sources.web.listed import several
from nodeagent.jobs.sources.web.making import WebSources, web_sources
from nodeagent.jobs.sources.web.source import WebSource
from tests.sources.ground import objects, outcome, whole
from tests.sources.web_server import File, Server, serving


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(tmp_path) as found:
        yield found


@pytest.fixture
async def web(server: Server, tmp_path: Path) -> AsyncIterator[WebSources]:
    config = Web(allow=["localhost"], ca_file=str(server.ca_file), silent_s=0.5)
    made = web_sources("aws-a", config, tmp_path)
    yield made
    await made.close()


def opened(web: WebSources, uri: str, **globs: list[str]) -> WebSource:
    return web.open(parse(uri), source_pb2.SourceRef(**globs))


async def reason(reading: object) -> tuple[str, str]:
    with pytest.raises(McError) as caught:
        await reading  # type: ignore[misc]
    return caught.value.reason, caught.value.message


async def test_a_file_is_read_in_ranges_under_its_etag(server: Server, web: WebSources) -> None:
    data = os.urandom(3_000_000)
    server.files["/data/corpus%20a.bin?v=1"] = File(data)
    source = opened(web, server.url("/data/corpus%20a.bin?v=1"))
    (found,) = await objects(source)
    assert (found.path, found.size_bytes, found.etag) == (b"corpus a.bin", len(data), 'r|e|"1"')
    assert found.modified_unix_ms == 1_792_490_400_000
    assert await whole(source, found) == data
    server.files["/data/corpus%20a.bin?v=1"].etag = '"2"'
    assert await outcome(whole(source, found)) == CHANGED
    server.files.clear()
    assert await outcome(whole(source, found)) == GONE


async def test_a_server_that_ignores_conditions_mixes_nothing(
    server: Server, web: WebSources
) -> None:
    file = server.files["/a"] = File(b"old", etag="")
    source = opened(web, server.url("/a"))
    (found,) = await objects(source)
    assert found.etag == "r|m|Tue, 20 Oct 2026 10:00:00 GMT"
    file.headers = {"Last-Modified": "Wed, 21 Oct 2026 10:00:00 GMT"}
    assert await outcome(whole(source, found)) == CHANGED
    file.headers, file.data = {}, b"longer"
    assert await outcome(whole(source, found)) == CHANGED


async def test_a_server_without_ranges_is_asked_once_for_all_of_a_file(
    server: Server, web: WebSources
) -> None:
    data = os.urandom(5 << 20)
    server.files["/a"] = File(data, ranges=False)
    source = opened(web, server.url("/a"))
    (found,) = await objects(source)
    assert found.etag.startswith("w|")
    asked = len(server.asked)
    parts = [source.read(_asked(found), at, 1 << 20) for at in range(0, len(data), 1 << 20)]
    assert b"".join(await asyncio.gather(*parts)) == data
    assert len(server.asked) == asked + 1
    assert list(web.spool.folder.iterdir()) == []


async def test_lists_of_addresses_are_read_page_by_page_and_faults_are_named(
    server: Server, web: WebSources
) -> None:
    server.files |= {f"/{n}": File(str(n).encode()) for n in range(5)}
    server.files["/3"].status = 403
    server.files["/empty"] = File(b"")
    lines = ["# all", *(server.url(f"/{n}") for n in range(5)), "/empty", "gone", ""]
    server.files["/list"] = File("\n".join(lines).encode())
    source = opened(web, f"list+{server.url('/list')}", exclude=["4"])
    page = await source.page("", 3)
    names = [one.path for one in page.objects]
    assert names == [b"localhost/0", b"localhost/1", b"localhost/2"]
    again = opened(web, f"list+{server.url('/list')}", exclude=["4"])
    rest = await again.page(page.cursor, 3)
    assert [(one.path, one.reason) for one in rest.skipped] == [(b"localhost/3", UNREADABLE)]
    last = await again.page(rest.cursor, 3)
    assert last.last
    assert [(one.path, one.reason) for one in last.skipped] == [(b"localhost/gone", GONE)]
    (empty,) = rest.objects
    assert (empty.path, await whole(again, empty)) == (b"localhost/empty", b"")
    assert await whole(again, page.objects[1]) == b"1"
    server.files["/list"] = File(b"/1\n", etag='"2"')
    third = opened(web, f"list+{server.url('/list')}")
    assert (await reason(third.page(page.cursor, 3)))[0] == "CHANGED"


def test_a_list_in_json_names_paths_and_two_files_of_one_path_are_refused() -> None:
    base = "https://h/d/list.json"
    made = several(base, json.dumps({"files": [{"url": "b", "path": "x/y"}, "/a"]}).encode())
    assert [(one.url, one.path) for one in made] == [
        ("https://h/a", b"h/a"),
        ("https://h/d/b", b"x/y"),
    ]
    same = [{"url": "a", "path": "p"}, {"url": "b", "path": "p"}]
    for bad in (json.dumps(same), "[1]", '{"x": 1}', "", '[{"url": "a", "path": "../x"}]', "[\xff"):
        with pytest.raises(McError) as caught:
            several(base, bad.encode("latin-1"))
        assert caught.value.reason == "INPUT_BROKEN", bad


async def test_lies_about_lengths_are_damage_and_silence_ends_a_read(
    server: Server, web: WebSources
) -> None:
    file = server.files["/a"] = File(b"x" * 1000)
    source = opened(web, server.url("/a"))
    (found,) = await objects(source)
    file.data, file.lies = b"x" * 900, 100
    assert (await reason(whole(source, found)))[0] == "DAMAGE"
    server.files["/b"] = File(b"x" * 900, ranges=False, lies=100)
    (short,) = await objects(opened(web, server.url("/b")))
    assert short.size_bytes == 1000
    assert (await reason(whole(opened(web, server.url("/b")), short)))[0] == "DAMAGE"
    file.data, file.lies, file.stops_after = b"x" * 1000, 0, 10
    assert (await reason(whole(source, found)))[0] == "SOURCE_AWAY"


async def test_a_file_that_is_too_large_or_packed_is_not_taken(
    server: Server, tmp_path: Path
) -> None:
    config = Web(allow=["localhost"], ca_file=str(server.ca_file), object_bytes_max=10)
    small = web_sources("aws-a", config, tmp_path)
    server.files["/a"] = File(b"x" * 11)
    server.files["/b"] = File(b"x", headers={"Content-Encoding": "gzip"})
    for path in ("/a", "/b"):
        assert (await reason(opened(small, server.url(path)).page("", 10)))[0] == "NOT_ALLOWED"
    await small.close()


async def test_a_busy_server_is_left_alone_as_long_as_it_says(
    server: Server, web: WebSources
) -> None:
    file = server.files["/a"] = File(b"x", status=503, headers={"Retry-After": "30"})
    source = opened(web, server.url("/a"))
    assert (await reason(source.page("", 10)))[0] == "SOURCE_AWAY"
    file.status, asked = 0, len(server.asked)
    assert (await reason(source.page("", 10)))[0] == "SOURCE_AWAY"
    assert len(server.asked) == asked


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.0.1",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "::ffff:10.0.0.1",
        "::10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "fd00:ec2::254",
        "168.63.129.16",
    ],
)
def test_no_address_is_asked_that_is_not_public(address: str) -> None:
    with pytest.raises(McError) as caught:
        Allowed().demand("host", address)
    assert caught.value.reason == "NOT_ALLOWED"


def test_what_is_named_is_asked_but_never_where_machines_are_told_secrets() -> None:
    allowed = Allowed.of(["Data.Internal", "10.1.0.0/16", "::1"], "aws-a")
    allowed.demand("data.internal", "10.9.9.9")
    allowed.demand("other", "10.1.2.3")
    allowed.demand("six", "::1")
    Allowed().demand("public", "8.8.8.8")
    Allowed().demand("public", "2606:4700::1111")
    for host, address in (("data.internal", "169.254.169.254"), ("other", "10.2.0.1")):
        with pytest.raises(McError):
            allowed.demand(host, address)
    with pytest.raises(McError) as caught:
        Allowed.of(["10.1.0.0/33"], "aws-a")
    assert caught.value.reason == "CONFIG_INVALID"


async def test_no_server_talks_a_node_into_asking_somebody_else(
    server: Server, web: WebSources, tmp_path: Path
) -> None:
    for name, there in {
        "metadata": "https://169.254.169.254/latest/meta-data",
        "private": f"https://127.0.0.1:{server.port}/a",
        "figures": "https://2130706433/a",
        "short": "https://127.1/a",
        "plain": f"http://localhost:{server.port}/a",
        "scheme": "file:///etc/passwd",
        "password": f"https://me@localhost:{server.port}/a",
        "circle": "/circle",
    }.items():
        server.files[f"/{name}"] = File(b"", status=302, headers={"Location": there})
        found, said = await reason(opened(web, server.url(f"/{name}")).page("", 10))
        assert found == "NOT_ALLOWED", said
    server.files["/a"] = File(b"a")
    server.files["/good"] = File(b"", status=307, headers={"Location": "/a"})
    (one,) = await objects(opened(web, server.url("/good")))
    assert one.path == b"good"
    stranger = web_sources("aws-a", Web(ca_file=str(server.ca_file)), tmp_path)
    asked = len(server.asked)
    for host in ("localhost", "127.0.0.1"):
        found, said = await reason(opened(stranger, server.url("/a", host)).page("", 10))
        assert (found, "no public address" in said) == ("NOT_ALLOWED", True)
    await stranger.close()
    assert len(server.asked) == asked


async def test_a_certificate_that_nobody_trusts_is_refused(server: Server, tmp_path: Path) -> None:
    web = web_sources("aws-a", Web(allow=["localhost"]), tmp_path)
    server.files["/a"] = File(b"a")
    found, said = await reason(opened(web, server.url("/a")).page("", 10))
    assert (found, "not trusted" in said) == ("SOURCE_AWAY", True)
    await web.close()


def _asked(found: task_pb2.ListedObject) -> task_pb2.TaskInput:
    return task_pb2.TaskInput(path=found.path, etag=found.etag, size_bytes=found.size_bytes)
