"""A dataset submitted again: what has not changed is neither read nor sent; nothing is mixed."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from blake3 import blake3

from multicloud.v1 import job_pb2, records_pb2, task_pb2
from nodeagent.jobs.job_service import JobService
from tests.jobs.crew import crew
from tests.support.nodes import Running, until
from tests.support.people import People
from tests.working.test_whole_jobs import Bytes, Real

MIB = 1 << 20
RAW = 'input = "raw"'
CLEAN = """
input = "jsonl"
[[step]]
use = "filter"
where = "id <> 3"
[output]
format = "jsonl"
"""
DAY_MS = 24 * 3600 * 1000


class Versioned(Bytes):
    """Objects have the etag of their content, and whoever was read is known."""

    def __init__(self, objects: dict[bytes, bytes]) -> None:
        super().__init__(objects)
        self.read_paths: set[bytes] = set()
        self.mark = b""  # Changes every etag, and no byte.

    async def page(self, cursor: str, objects_max: int) -> task_pb2.ListingPage:
        page = await super().page(cursor, objects_max)
        for one in page.objects:
            one.etag = blake3(self.objects[one.path] + self.mark).hexdigest(8)
        return page

    async def read(self, asked: task_pb2.TaskInput, offset_bytes: int, size_bytes: int) -> bytes:
        self.read_paths.add(asked.path)
        return await super().read(asked, offset_bytes, size_bytes)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def real(people: People, tmp_path: Path) -> AsyncIterator[Real]:
    async with crew(people, tmp_path, Versioned({}), made=Real) as found:
        yield found


async def submitted(
    real: Real, objects: dict[bytes, bytes], text: str = RAW, *, anew: bool = False
) -> tuple[records_pb2.JobOutcome, set[bytes]]:
    """How it ended, and which objects were read for it."""
    source = real.source
    assert isinstance(source, Versioned)
    source.objects, source.read_paths = objects, set()
    source.files = {path: len(data) for path, data in objects.items()}
    spread = [
        job_pb2.SpreadRule(level=level, count=1)
        for level in (job_pb2.SPREAD_LEVEL_ZONE, job_pb2.SPREAD_LEVEL_CLOUD)
    ]
    spec = job_pb2.JobSpec(
        dataset="corpus",
        source="memory://",
        pipeline_toml=text,
        policy=job_pb2.Policy(replicas=2, ack_copies=2, spread=spread),
        chunk_size_bytes=MIB,
        anew=anew,
    )
    (service,) = real.nodes[1].node.jobs.services["JobService"]
    assert isinstance(service, JobService)
    request = job_pb2.CreateJobRequest(request_id=secrets.token_hex(8), spec=spec)
    with service.watcher.span("job.submit") as span:
        header = await service.making.make(request, "ada", span, job_pb2.Cost())
    outcome = await real.ended(header.id, 60)
    assert outcome.state == job_pb2.JOB_STATE_DONE, outcome.error
    return outcome, source.read_paths


async def contents(node: Running, version: str) -> dict[bytes, bytes]:
    """Every file of a version, read as people read it."""
    datasets, found = node.node.jobs.datasets, {}
    await until(lambda: any(one.version == version for one in datasets.versions.of("corpus")))
    manifest = await datasets.reading.manifest("corpus", version)
    paths = [file.path async for file in manifest.entries(b"")]
    for path in dict.fromkeys(paths):
        pieces: list[bytes] = []

        async def give(piece: bytes, into: list[bytes] = pieces) -> None:
            into.append(bytes(piece))

        await datasets.reading.read(manifest, path, give)
        found[path] = b"".join(pieces)
    return found


async def unpinned(real: Real, version: str) -> None:
    """No job holds any chunk of a version."""
    manifest = await real.nodes[1].node.jobs.datasets.reading.manifest("corpus", version)
    stores = [node.node.data.store for node in real.nodes.values()]
    async with asyncio.timeout(20):
        async for chunk in manifest.chunks():
            while any([await store.pins(chunk.id) for store in stores]):
                await asyncio.sleep(0.05)


async def forgotten(real: Real, version: str) -> int:
    """The version was removed long ago, and every node collects what nothing names any more."""

    def gone(record: records_pb2.VersionRecord) -> bool:
        record.removed_unix_ms = int(time.time() * 1000) - 2 * DAY_MS
        return True

    versions = real.nodes[1].node.jobs.datasets.versions
    await versions.change("corpus", version, secrets.token_hex(8), gone)
    trashed = 0
    for node in real.nodes.values():
        known = node.node.jobs.datasets.versions
        await until(lambda known=known: known.of("corpus")[0].removed_unix_ms)
        with node.place.config.open("a") as config:
            config.write("[upkeep]\ngrace_s = 0\n")
        await node.settings.reload()
        trashed += (await node.node.upkeep.upkeep.collect.pass_once(asked=True)).trashed.chunks
    return trashed


async def test_only_what_changed_is_read_and_sent_and_the_old_version_may_go(real: Real) -> None:
    first = {f"d/{n:03}".encode(): secrets.token_bytes(5000 + n) for n in range(30)}
    first |= {b"big": secrets.token_bytes(3 * MIB + 7), b"empty": b"", b"left": b"x"}
    outcome, read = await submitted(real, first)
    assert read == first.keys()
    assert outcome.counts.bytes_sent == outcome.counts.bytes_sealed
    assert not outcome.counts.objects_taken

    big = bytearray(first[b"big"])
    big[MIB + 5] ^= 1
    second = first | {b"d/007": b"other", b"new": b"new", b"big": bytes(big)}
    del second[b"left"]
    outcome, read = await submitted(real, second)
    counts = outcome.counts
    assert read == {b"d/007", b"new", b"big"}
    assert (counts.objects_ingested, counts.objects_taken) == (33, 30)
    assert counts.bytes_taken == sum(map(len, second.values())) - len(big) - 8
    assert counts.bytes_in == len(big) + 8
    assert counts.bytes_reused == len(big) - MIB  # All of it but the range that was touched.
    assert MIB < counts.bytes_sent < MIB + 10_000
    assert await contents(real.nodes[2], "2") == second
    assert await contents(real.nodes[3], "1") == first

    # Pins of both jobs are over; what only the old version names goes, what they share stays.
    await unpinned(real, "1")
    assert await forgotten(real, "1") > 0
    assert await contents(real.nodes[2], "2") == second

    outcome, read = await submitted(real, second, anew=True)
    assert read == second.keys()
    assert (outcome.counts.objects_taken, outcome.counts.bytes_reused) == (0, 0)


async def test_the_same_bytes_under_new_etags_are_read_and_not_sent(real: Real) -> None:
    objects = {f"{n:03}".encode(): secrets.token_bytes(5000) for n in range(20)}
    await submitted(real, objects)
    assert isinstance(real.source, Versioned)
    real.source.mark = b"touched"
    outcome, read = await submitted(real, objects)
    assert read == objects.keys()
    assert outcome.counts.bytes_reused == outcome.counts.bytes_in == 100_000
    assert outcome.counts.bytes_sent == 0
    assert await contents(real.nodes[3], "2") == objects


async def test_records_are_taken_over_by_the_object_and_never_under_another_pipeline(
    real: Real,
) -> None:
    def rows(begin: int) -> bytes:
        made = ({"id": begin + n} for n in range(5))
        return b"".join(json.dumps(row, separators=(",", ":")).encode() + b"\n" for row in made)

    objects = {f"{n:03}.jsonl".encode(): rows(n * 5) for n in range(25)}
    await submitted(real, objects, CLEAN)
    objects[b"004.jsonl"] = rows(1000)
    outcome, read = await submitted(real, objects, CLEAN)
    assert read == {b"004.jsonl"}
    assert (outcome.counts.objects_ingested, outcome.counts.objects_taken) == (25, 24)
    got = await contents(real.nodes[2], "2")
    assert len(got) == 25
    assert got[b"004/part-00000.jsonl"] == rows(1000)
    assert got[b"000/part-00000.jsonl"] == rows(0).replace(b'{"id":3}\n', b"")

    outcome, read = await submitted(real, objects, CLEAN.replace("<> 3", "<> 4"))
    assert read == objects.keys()
    assert not outcome.counts.objects_taken
    assert not outcome.counts.bytes_reused
