"""Laptops as sources, read by real nodes over mTLS: directly, through each other, and when somebody
goes in the middle of it.
"""

import asyncio
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from mcctl.sources import local_path, local_uri, serve
from multicloud.client import Client
from multicloud.errors import McError
from multicloud.status import decode
from multicloud.v1 import source_pb2, source_pb2_grpc, task_pb2
from nodeagent.jobs.contract import CHANGED, GONE, SMALL_BYTES, SkippedObject
from nodeagent.jobs.sources.files import etag_of
from nodeagent.jobs.sources.relayed import LaptopSource
from nodeagent.jobs.sources.streams import LaptopStream
from nodeagent.jobs.working.ahead import ranged
from nodeagent.rpc.access import AUDITOR, OPERATOR, SUBMITTER
from tests.sources.ground import (
    Site,
    away,
    eventually,
    laptop,
    objects,
    outcome,
    same,
    submitted,
    whole,
)
from tests.sources.test_files import tree
from tests.support.nodes import channel, until
from tests.support.people import CLUSTER, People

ADA = f"spiffe://{CLUSTER}/operator/ada"


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


async def test_many_small_files_go_together_each_with_its_bytes_or_its_reason(
    trio: list[Site], folder: Path, people: People
) -> None:
    for number in range(600):
        (folder / "b" / f"{number:03}").write_bytes(b"%d" % number * (number % 7) * 1000)
    await trio[0].allow(folder.parent)
    uri = local_uri(folder)
    job = await submitted(trio[0], ADA, uri)
    async with laptop(people, "ada", SUBMITTER, trio[:1]) as met, OneNode(met.context) as client:
        async with serve(client, job, folder) as serving:
            await until(lambda: serving.nodes)
            sources = [await trio[n].sources.open(job, uri) for n in (0, 1)]
            sources.append(await trio[2].sources.open(job, f"node://node-1{folder}"))
            found = [one for one in await eventually(sources[0]) if one.path.startswith(b"b/")]
            assert len(found) == 601
            (folder / "b" / "007").unlink()
            (folder / "b" / "008").write_bytes(b"other")
            for source in sources:
                async with asyncio.TaskGroup() as group:
                    reads = [group.create_task(outcome(whole(source, one))) for one in found]
                    await asyncio.sleep(0)  # They have begun.
                    reads[3].cancel()  # Whoever sends for others may go.
                    reads[0].cancel()
                for place, (one, read) in enumerate(zip(found, reads, strict=True)):
                    if place in (0, 3):
                        assert read.cancelled()
                    elif place in (7, 8):
                        assert read.result() == (GONE if place == 7 else CHANGED)
                    else:
                        assert read.result() == (folder / one.path.decode()).read_bytes()


async def test_what_was_excluded_leaves_the_laptop_for_nobody(
    trio: list[Site], folder: Path, people: People
) -> None:
    uri = local_uri(folder)
    job = await submitted(trio[0], ADA, uri)
    async with (
        laptop(people, "ada", SUBMITTER, trio[:1]) as client,
        serve(client, job, folder, exclude=["b"]) as serving,
    ):
        await until(lambda: serving.nodes)
        source = await trio[0].sources.open(job, uri)  # It does not say what it leaves out.
        assert [one.path for one in await eventually(source)] == [b"big", b"empty"]
        etag = etag_of((folder / "b" / "small").stat())
        secret = task_pb2.ListedObject(path=b"b/small", etag=etag, size_bytes=SMALL_BYTES + 1)
        with pytest.raises(SkippedObject, match="excluded"):
            await whole(source, secret)


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
    part = source_pb2.ReadPart(data=b"x")
    lies = (
        (source_pb2.ReadAnswer(request=7, data=b"x"), "never asked"),
        (source_pb2.ReadAnswer(request=1, data=b"x" * (SMALL_BYTES + 2)), "more came"),
        (source_pb2.ReadAnswer(request=1, data=b"x", last=True), "less came"),
        (source_pb2.ReadAnswer(request=1, parts=[part, part], last=True), "objects came"),
        (source_pb2.ReadAnswer(request=1, parts=[part], last=True), "were asked for"),
    )
    async with channel(trio[0].running, people.operator("ada", SUBMITTER)) as opened:
        stub = source_pb2_grpc.SourceServiceStub(opened)
        for lie, why in lies:
            call = stub.ServeSource(timeout=20)
            await call.write(hello)
            await call.read()  # It is let in.
            source = await trio[0].sources.own.open(source_pb2.SourceRef(job=job, source=uri))
            size = SMALL_BYTES + 1 if not lie.parts else 2
            asked = task_pb2.TaskInput(path=b"x", etag="e", size_bytes=size)
            async with asyncio.TaskGroup() as group:
                reading = (
                    source.read_several([ranged(asked, 0, size)])
                    if lie.parts
                    else source.read(asked, 0, size)
                )
                group.create_task(away(reading))
                answer = await call.read()
                assert b"x" in (answer.read.path, *(one.path for one in answer.read.objects))
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


async def test_a_laptop_that_is_silent_is_gone_and_one_that_only_does_not_answer_is_not(
    trio: list[Site], folder: Path, people: People
) -> None:
    uri = local_uri(folder)
    job = await submitted(trio[0], ADA, uri)
    ref = source_pb2.SourceRef(job=job, source=uri)
    hello = source_pb2.ServeSourceRequest(hello=source_pb2.SourceHello(job=job, source=uri))
    asked = task_pb2.TaskInput(path=b"x", etag="e", size_bytes=SMALL_BYTES + 1)
    service = trio[0].part.service
    service.silent_s, usual_s = 1.0, service.silent_s
    try:
        async with channel(trio[0].running, people.operator("ada", SUBMITTER)) as opened:
            call = source_pb2_grpc.SourceServiceStub(opened).ServeSource(timeout=20)
            await call.write(hello)
            await call.read()  # It is let in.
            source = await trio[0].sources.own.open(ref)
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(away(source.read(asked, 0, asked.size_bytes)))
                number = (await call.read()).read.request
                for _ in range(15):  # Longer than it may be silent.
                    answer = source_pb2.ReadAnswer(request=number)
                    await call.write(source_pb2.ServeSourceRequest(answer=answer))
                    await asyncio.sleep(0.1)
                assert not reading.done()
            with pytest.raises(grpc.aio.AioRpcError, match="silent for 1 s"):
                await call.read()
            assert trio[0].laptops.stream(job, uri) is None
    finally:
        service.silent_s = usual_s


@pytest.mark.parametrize("path", [b"../x", b"/etc/passwd", b"a//b", b"", b"a/./b", b"a\0"])
async def test_a_listing_that_names_something_outside_is_refused(path: bytes) -> None:
    stream = LaptopStream("j", "file://host/x", stall_s=5.0)
    page = task_pb2.ListingPage(objects=[task_pb2.ListedObject(path=path)])
    answer = source_pb2.ListAnswer(request=1, page=page)
    async with asyncio.TaskGroup() as group:
        group.create_task(away(stream.page("", 10, (), ())))
        await until(lambda: stream.busy)
        with pytest.raises(McError, match="no path inside"):
            stream.heard(source_pb2.ServeSourceRequest(listing=answer))
        stream.end()


def test_the_laptops_side_needs_nothing_that_only_nodes_have() -> None:
    code = "import mcctl.sources, sys; print(' '.join(name.split('.')[0] for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"blake3", "zstandard", "polars", "pyarrow", "structlog", "opentelemetry", "aiofiles"}
    assert not heavy & set(done.stdout.split())


async def test_a_request_that_nothing_is_heard_of_is_given_up_and_the_stream_stays() -> None:
    stream = LaptopStream("j", "file://host/x", stall_s=0.05)
    with pytest.raises(McError, match="did not answer"):
        await stream.read(b"x", "e", 0, 1)
    assert stream.outgoing.get_nowait().read.request == 1  # type: ignore[union-attr]
    assert stream.outgoing.get_nowait().cancelled_request == 1  # type: ignore[union-attr]
    stream.heard(
        source_pb2.ServeSourceRequest(answer=source_pb2.ReadAnswer(request=1, data=b"late"))
    )
    assert stream.busy == 0
