"""Folders of nodes, read by themselves and by others over mTLS; nothing outside of the roots."""

import os
from pathlib import Path

import pytest

from multicloud.errors import McError
from multicloud.v1 import source_pb2, source_pb2_grpc
from nodeagent.jobs.contract import CHANGED, GONE, LINK, SkippedObject
from nodeagent.jobs.sources.uris import file_uri, parse
from nodeagent.rpc.access import OPERATOR
from tests.sources.ground import (
    Site,
    objects,
    same,
    whole,
)
from tests.support.nodes import channel, refused
from tests.support.people import People

JOB = "j" * 20


@pytest.fixture
async def shared(trio: list[Site], folder: Path) -> Site:
    await trio[0].allow(folder.parent)
    return trio[0]


async def test_a_folder_of_a_node_is_read_by_itself_and_by_every_other_node(
    trio: list[Site], shared: Site, folder: Path
) -> None:
    for host in ("node-1", shared.id):
        for site in trio:
            source = await site.sources.open(JOB, f"node://{host}{folder}")
            await same(source, folder)
            await source.close()
    uri = f"node://node-1{folder}"
    assert [site.sources.nearness(JOB, uri, shared.id) for site in trio] == [0.0] * 3
    assert trio[1].sources.nearness(JOB, uri, trio[1].id) > 0


async def test_globs_and_odd_names_and_reasons_cross_the_wire(
    trio: list[Site], shared: Site, folder: Path
) -> None:
    odd = b"\xff odd\n"
    Path(os.fsdecode(os.fsencode(folder) + b"/" + odd)).write_bytes(odd)
    (folder / "leak").symlink_to("/etc/passwd")
    uri = f"node://node-1{folder}"
    source = await trio[1].sources.open(JOB, uri, exclude=["big", "b/"])
    found = await objects(source, 1)
    assert [one.path for one in found] == [b"empty", odd]
    assert await whole(source, found[1]) == odd
    page = await source.page("", 100)
    assert [(one.path, one.reason) for one in page.skipped] == [(b"leak", LINK)]
    (folder / "empty").write_text("no more")
    Path(os.fsdecode(os.fsencode(folder) + b"/" + odd)).unlink()
    for one, why in zip(found, (CHANGED, GONE), strict=True):
        with pytest.raises(SkippedObject) as caught:
            await whole(source, one)
        assert (caught.value.path, caught.value.why) == (one.path, why)


async def test_only_what_is_beneath_a_root_is_read_whoever_asks(
    trio: list[Site], shared: Site, folder: Path, people: People
) -> None:
    (folder / "out").symlink_to("/etc")
    for path, reason in {
        "/etc": "NOT_ALLOWED",
        f"{folder.parent}x": "NOT_ALLOWED",
        f"{folder}/../../../etc": "BAD_REQUEST",
        f"{folder}/%2e%2e/%2e%2e/%2e%2e/etc": "BAD_REQUEST",
    }.items():
        for site in trio[:2]:
            with pytest.raises(McError) as caught:
                await site.sources.open(JOB, f"node://node-1{path}")
            assert caught.value.reason == reason
    with pytest.raises(McError) as caught:
        await objects(await trio[1].sources.open(JOB, f"node://node-1{folder}/out"))
    assert caught.value.reason == "SOURCE_AWAY"
    with pytest.raises(McError) as caught:
        await trio[0].sources.open(JOB, "node://nobody/data")
    assert caught.value.reason == "NODE_UNKNOWN"
    ref = source_pb2.SourceRef(job=JOB, source=f"node://node-1{folder}")
    async with channel(shared.running, people.operator("ada", OPERATOR)) as opened:
        stub = source_pb2_grpc.SourceServiceStub(opened)
        request = source_pb2.ListSourceRequest(source=ref, objects_max=10)
        assert (await refused(stub.ListSource(request, timeout=5))).reason == "NOT_ALLOWED"
    source = await trio[1].sources.open(JOB, f"node://node-1{folder}")
    await shared.allow()
    with pytest.raises(McError) as caught:
        await source.page("", 10)
    assert caught.value.reason == "NOT_ALLOWED"


def test_names_of_sources_are_read_as_they_are_written() -> None:
    for path in (b"/a/b", b"/\xff\n %?#", "/ä".encode(), b"/a b"):
        name = parse(file_uri("host", path))
        assert (name.host, name.path) == ("host", path)
        assert parse(name.uri) == name
    for uri, reason in {
        "ftp://bucket/x": "UNSUPPORTED",
        "data": "UNSUPPORTED",
        "node://name": "BAD_REQUEST",
        "node:///x": "BAD_REQUEST",
        "file://host/a/../b": "BAD_REQUEST",
        "file://host/%00": "BAD_REQUEST",
        "file://[x/y": "BAD_REQUEST",
    }.items():
        with pytest.raises(McError) as caught:
            parse(uri)
        assert caught.value.reason == reason, uri
