"""Folders of nodes and of laptops, read by real nodes over mTLS: directly, through each other, and
when somebody goes in the middle of it.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from mcctl.sources import local_path, local_uri, serve
from multicloud.client import Client
from multicloud.errors import McError
from multicloud.status import decode
from multicloud.v1 import source_pb2, source_pb2_grpc, task_pb2
from nodeagent.jobs.contract import CHANGED, GONE, LINK, SkippedObject
from nodeagent.jobs.sources.relayed import LaptopSource
from nodeagent.jobs.sources.uris import file_uri, parse
from nodeagent.rpc.access import AUDITOR, OPERATOR, SUBMITTER
from tests.sources.ground import Site, eventually, laptop, objects, submitted, whole
from tests.sources.test_files import tree
from tests.support.meeting import meeting
from tests.support.nodes import channel, refused, until
from tests.support.people import CLUSTER, People

JOB = "j" * 20
ADA = f"spiffe://{CLUSTER}/operator/ada"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
async def trio(
    people: People, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[Site]]:
    async with AsyncExitStack() as stack:
        nodes = await meeting(stack, people, tmp_path_factory.mktemp("trio"), 3)
        sites = [Site(node) for node in nodes]
        ids = {site.id for site in sites}
        await until(lambda: all(ids <= s.running.node.view().members.keys() for s in sites), 30)
        yield sites


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "set" / "b").mkdir(parents=True)
    (tmp_path / "set" / "big").write_bytes(os.urandom(9 << 20))
    (tmp_path / "set" / "b" / "small").write_bytes(b"small")
    (tmp_path / "set" / "empty").touch()
    return tmp_path / "set"


async def away(reading: Coroutine[Any, Any, bytes]) -> None:
    """It fails because its source went away, not otherwise."""
    with pytest.raises(McError) as caught:
        await reading
    assert caught.value.reason == "SOURCE_AWAY"


async def same(source: object, folder: Path) -> None:
    """It lists and gives every byte of a folder."""
    found = await objects(source, 2)  # type: ignore[arg-type]
    assert sorted(one.path.decode() for one in found) == sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
    )
    for one in found:
        data = await whole(source, one)  # type: ignore[arg-type]
        assert data == (folder / one.path.decode()).read_bytes()


# --- folders of nodes


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


# --- laptops


async def test_a_laptop_is_read_by_every_node_and_its_job_waits_while_it_is_away(
    trio: list[Site], folder: Path, people: People
) -> None:
    uri = local_uri(folder)
    assert local_path(uri) == str(folder)
    job = await submitted(trio[0], ADA, uri)
    sources = [await site.sources.open(job, uri) for site in trio]
    with pytest.raises(McError, match="no node has a stream") as caught:
        await objects(sources[0])
    assert caught.value.reason == "SOURCE_AWAY"
    for _ in range(2):  # The second time is `submit --resume`.
        async with (
            laptop(people, "ada", SUBMITTER, trio) as client,
            serve(client, job, folder) as serving,
        ):
            await until(lambda: len(serving.nodes) == 3)
            for source in sources:
                await eventually(source)
                await same(source, folder)
            assert serving.bytes_sent >= 3 * (9 << 20)
        await until(lambda: not any(s.laptops.stream(job, uri) for s in trio))
        with pytest.raises(McError) as caught:
            await sources[1].page("", 10)
        assert caught.value.reason == "SOURCE_AWAY"


class OneNode(Client):
    """A laptop that a firewall lets through to one node only."""

    async def to(self, node: str):  # type: ignore[no-untyped-def]
        if node != self.node.id:
            raise McError("UNREACHABLE", f"a firewall stands before {node}")
        return await super().to(node)


async def test_a_node_that_the_laptop_cannot_reach_is_served_through_one_that_it_can(
    trio: list[Site], folder: Path, people: People
) -> None:
    uri = local_uri(folder)
    job = await submitted(trio[0], ADA, uri)
    async with laptop(people, "ada", SUBMITTER, trio[:1]) as met:
        async with (
            OneNode(met.context) as client,
            serve(client, job, folder) as serving,
        ):
            await until(lambda: serving.nodes == ("node-1",))
            await until(lambda: serving.relayed == ("node-2", "node-3"))
            await until(lambda: trio[0].laptops.relays_for(job, trio[2].id))
            source = await trio[2].sources.open(job, uri)
            assert isinstance(source, LaptopSource)
            assert not trio[2].laptops.stream(job, uri)
            await eventually(source)
            await same(source, folder)
            near = [trio[0].sources.nearness(job, uri, site.id) for site in trio]
            assert near[0] < near[1] == near[2]
            for one in await objects(source):
                (folder / one.path.decode()).unlink()
                with pytest.raises(SkippedObject) as caught:
                    await whole(source, one)
                assert caught.value.why == GONE


@pytest.mark.parametrize("reader", [0, 1])  # The node with the stream, and one without.
async def test_a_laptop_that_goes_in_the_middle_of_a_read_fails_it_and_serves_it_when_back(
    reader: int, trio: list[Site], folder: Path, people: People
) -> None:
    uri = local_uri(folder)
    job = await submitted(trio[0], ADA, uri)
    source = await trio[reader].sources.open(job, uri)
    async with laptop(people, "ada", SUBMITTER, trio[:1]) as met, OneNode(met.context) as client:
        # So slow that it cannot have been read to its end.
        async with (
            asyncio.TaskGroup() as group,
            serve(client, job, folder, bytes_per_s_max=1 << 20) as serving,
        ):
            await until(lambda: serving.nodes)
            big = next(one for one in await eventually(source) if one.path == b"big")
            reading = group.create_task(away(whole(source, big)))
            await until(lambda: serving.bytes_sent)
            assert not reading.done()
        async with serve(client, job, folder):
            await eventually(source)
            assert await whole(source, big) == (folder / "big").read_bytes()


async def test_a_read_that_is_given_up_is_given_up_on_the_laptop_too(
    trio: list[Site], folder: Path, people: People
) -> None:
    uri = local_uri(folder)
    job = await submitted(trio[0], ADA, uri)
    async with (
        laptop(people, "ada", SUBMITTER, trio[:1]) as client,
        serve(client, job, folder, bytes_per_s_max=1 << 20) as serving,
    ):
        await until(lambda: len(serving.nodes) == 3)
        source = await trio[0].sources.open(job, uri)
        big = next(one for one in await objects(source) if one.path == b"big")
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(whole(source, big))
            await until(lambda: serving.bytes_sent)
            reading.cancel()
        await until(lambda: trio[0].laptops.needed(job, uri).busy == 0)
        sent = serving.bytes_sent
        await objects(source)
        assert serving.bytes_sent - sent < 4 << 20


async def test_bwlimit_holds_over_all_streams_together(
    trio: list[Site], folder: Path, people: People
) -> None:
    uri = local_uri(folder)
    job = await submitted(trio[0], ADA, uri)
    per_s = 8 << 20
    async with (
        laptop(people, "ada", SUBMITTER, trio[:1]) as client,
        serve(client, job, folder, bytes_per_s_max=per_s) as serving,
    ):
        await until(lambda: len(serving.nodes) == 3)
        sources = [await site.sources.open(job, uri) for site in trio]
        big = next(one for one in await objects(sources[0]) if one.path == b"big")
        begun_s = asyncio.get_running_loop().time()
        await asyncio.gather(*(whole(source, big) for source in sources))
        took_s = asyncio.get_running_loop().time() - begun_s
    assert took_s > 3 * big.size_bytes / per_s - 1.0


async def test_only_who_submitted_a_job_or_operates_them_all_may_serve_its_source(
    trio: list[Site], folder: Path, people: People, tmp_path: Path
) -> None:
    uri = local_uri(folder)
    mine = await submitted(trio[0], ADA, uri)

    async def failure(who: str, role: str, job: str = "", path: Path = folder) -> McError | None:
        async with (
            laptop(people, who, role, trio[:1]) as client,
            serve(client, job or mine, path) as serving,
        ):
            await until(lambda: serving.nodes or serving.ended.is_set())
            return serving.failure

    assert await failure("ada", SUBMITTER) is None
    assert await failure("eve", OPERATOR) is None
    for told, reason in (
        (await failure("eve", SUBMITTER), "NOT_ALLOWED"),
        (await failure("ada", SUBMITTER, job="k" * 20), "NOT_FOUND"),
        (await failure("ada", SUBMITTER, path=tree(tmp_path / "other", "x")), "BAD_REQUEST"),
    ):
        assert told is not None
        assert told.reason == reason
    async with laptop(people, "ada", SUBMITTER, trio[:1]) as client:
        with pytest.raises(McError) as caught:
            async with serve(client, mine, folder / "missing"):
                pass
        assert caught.value.reason == "SOURCE_AWAY"


async def test_a_laptop_that_says_more_than_it_was_asked_is_cut_off(
    trio: list[Site], folder: Path, people: People
) -> None:
    uri = local_uri(folder)
    job = await submitted(trio[0], ADA, uri)
    hello = source_pb2.ServeSourceRequest(hello=source_pb2.SourceHello(job=job, source=uri))
    lies = (
        (source_pb2.ReadAnswer(request=7, data=b"x"), "never asked"),
        (source_pb2.ReadAnswer(request=1, data=b"xxx"), "more came"),
        (source_pb2.ReadAnswer(request=1, data=b"x", last=True), "less came"),
    )
    async with channel(trio[0].running, people.operator("ada", SUBMITTER)) as opened:
        stub = source_pb2_grpc.SourceServiceStub(opened)
        for lie, why in lies:
            call = stub.ServeSource(timeout=20)
            await call.write(hello)
            await call.read()  # It is let in.
            source = await trio[0].sources.own.open(source_pb2.SourceRef(job=job, source=uri))
            asked = task_pb2.TaskInput(path=b"x", etag="e", size_bytes=2)
            async with asyncio.TaskGroup() as group:
                group.create_task(away(source.read(asked, 0, 2)))
                answer = await call.read()
                assert answer.read.path == b"x"
                await call.write(source_pb2.ServeSourceRequest(answer=lie))
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await call.read()
            error = decode(ended.value)
            assert (error.reason, why in error.message) == ("BAD_REQUEST", True)
        call = stub.ServeSource(timeout=20)
        await call.write(source_pb2.ServeSourceRequest(answer=lies[0][0]))
        with pytest.raises(grpc.aio.AioRpcError, match="hello"):
            await call.read()
    async with channel(trio[0].running, people.operator("joe", AUDITOR)) as opened:
        call = source_pb2_grpc.SourceServiceStub(opened).ServeSource(timeout=20)
        with pytest.raises(grpc.aio.AioRpcError, match="may not call"):
            await call.read()


def test_names_of_sources_are_read_as_they_are_written() -> None:
    for path in (b"/a/b", b"/\xff\n %?#", "/ä".encode(), b"/a b"):
        name = parse(file_uri("host", path))
        assert (name.host, name.path) == ("host", path)
        assert parse(name.uri) == name
    for uri, reason in {
        "s3://bucket/x": "UNSUPPORTED",
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
