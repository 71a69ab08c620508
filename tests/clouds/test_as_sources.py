"""A job reads a bucket of each kind and an export writes one, over real servers on bad days too."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from multicloud.v1 import export_pb2, job_pb2
from multicloud.v1.export_pb2_grpc import ExportServiceStub
from multicloud.v1.job_pb2_grpc import JobServiceStub
from nodeagent.clouds.contract import Bucket
from nodeagent.jobs.contract import CHANGED, GONE
from nodeagent.jobs.plane_making import JobParts
from nodeagent.jobs.sources.buckets import BucketSource
from nodeagent.jobs.sources.uris import parse
from nodeagent.rpc.access import OPERATOR
from tests.clouds.kinds import LAB, Kind, kind_of
from tests.sources.ground import Site, laptop, objects, outcome, whole
from tests.sources.town import ended
from tests.support.nodes import make_place, running, until
from tests.support.people import People

FILES = {f"raw/d/{n:02}": os.urandom(n * 3000) for n in range(6)} | {
    "raw/big": os.urandom(1_200_000),
    "raw/odd ä#?%41+": b"odd",
    "rawer": b"not in it",
}


@pytest.fixture(params=["s3", "gs", "az"])
async def kind(
    request: pytest.FixtureRequest, name: str, url_of: Callable[[str], str], tmp_path: Path
) -> AsyncIterator[Kind]:
    async with kind_of(request.param, url_of, name, tmp_path) as found:
        yield found


async def put(bucket: Bucket, key: str, data: bytes) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield data

    await bucket.put(key, parts(), len(data), absent=False)


async def content(bucket: Bucket, prefix: str) -> dict[str, bytes]:
    found, cursor, more = dict[str, bytes](), "", True
    while more:
        page = await bucket.page(prefix, cursor)
        for one in page.objects:
            parts = bucket.read(one.key, one.pin, 0, one.size_bytes)
            found[one.key.removeprefix(prefix)] = b"".join([part async for part in parts])
        cursor, more = page.cursor, bool(page.cursor)
    return found


def uri(kind: Kind, prefix: str) -> str:
    return f"{kind.bucket.place.uri}/{prefix}?endpoint={LAB}"


async def test_what_changes_in_a_bucket_is_skipped_and_the_rest_is_read(kind: Kind) -> None:
    for key in ("raw/a", "raw/b", "raw/c"):
        await put(kind.bucket, key, key.encode() * 1000)
    source = await BucketSource.opened(kind.clouds, parse(uri(kind, "raw")))
    listed = {one.path: one for one in await objects(source, 2)}
    await put(kind.bucket, "raw/a", b"other")
    await kind.bucket.delete("raw/b")
    assert [await outcome(whole(source, listed[k])) for k in (b"a", b"b", b"c")] == [
        CHANGED,
        GONE,
        b"raw/c" * 1000,
    ]


async def test_a_job_reads_it_and_an_export_writes_it_back_bit_for_bit(
    kind: Kind, tmp_path: Path
) -> None:
    for key, data in FILES.items():
        await put(kind.bucket, key, data)
    people = People(tmp_path / "authority")
    async with AsyncExitStack() as stack:
        place = make_place(people, tmp_path, 1)
        node = await stack.enter_async_context(
            running(place, job_parts=JobParts(clouds=kind.clouds))
        )
        await until(lambda: node.node.council.part.copy.epoch.members, 30)
        client = await stack.enter_async_context(laptop(people, "ada", OPERATOR, [Site(node)]))
        jobs = client.stub(JobServiceStub)
        policy = job_pb2.Policy(replicas=1, ack_copies=1)
        policy.spread.add(level=job_pb2.SPREAD_LEVEL_CLOUD, count=1)
        spec = job_pb2.JobSpec(
            dataset="corpus", source=uri(kind, "raw/"), policy=policy, chunk_size_bytes=1 << 20
        )
        made = await jobs.CreateJob(job_pb2.CreateJobRequest(spec=spec), timeout=30)
        job = await ended(jobs, made.job.id)
        assert (job.state, job.counts.objects_skipped) == (job_pb2.JOB_STATE_DONE, 0), job.error
        asked = export_pb2.ExportVersionRequest(name="corpus", target=uri(kind, "out/"))
        for written in (len(FILES) - 1, 0):
            said = [
                one async for one in client.stub(ExportServiceStub).ExportVersion(asked, timeout=60)
            ]
            assert (said[-1].files_written, said[-1].files_failed) == (written, 0)
    found = await content(kind.bucket, "out/")
    assert {k: v for k, v in found.items() if not k.startswith("_multicloud/")} == {
        k.removeprefix("raw/"): v for k, v in FILES.items() if k.startswith("raw/")
    }
    assert "_multicloud/manifest.json" in found
