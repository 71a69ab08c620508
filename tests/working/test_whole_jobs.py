"""Whole jobs: council, steward, keepers, workers, manifest are the nodes' own, not the source."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from multicloud.v1 import job_pb2, records_pb2, task_pb2
from nodeagent.core.chunk.key_record import wrap
from nodeagent.core.chunk.keys import ClusterKey
from nodeagent.jobs.header import new_id, request_digest
from nodeagent.jobs.keepers import Keepers
from nodeagent.jobs.plane_making import JobParts
from nodeagent.store.keyring_council import CouncilKeyring
from tests.jobs.crew import Crew, MemorySource, crew
from tests.support.nodes import Running, running, until
from tests.support.people import People
from tests.working.workbench import KEY, joined_files

MIB = 1 << 20
PIPELINE = """
input = "jsonl"
[[step]]
use = "validate.schema"
fields = { id = "int64" }
on_bad = "quarantine"
[output]
format = "jsonl"
"""


class Bytes(MemorySource):
    """With what is in the files."""

    def __init__(self, objects: dict[bytes, bytes]) -> None:
        super().__init__({path: len(data) for path, data in objects.items()})
        self.objects = objects
        self.free_reads = 1 << 30  # More wait for the gate.
        self.gate = asyncio.Event()

    async def read(self, asked: task_pb2.TaskInput, offset_bytes: int, size_bytes: int) -> bytes:
        self.free_reads -= 1
        if self.free_reads < 0:
            await self.gate.wait()
        return self.objects[asked.path][offset_bytes : offset_bytes + size_bytes]


@dataclass
class Real(Crew):
    """Nodes whose workers are their own."""

    async def _up(self, number: int, place) -> Running:  # type: ignore[no-untyped-def]
        stack = self.stacks[number] = AsyncExitStack()
        parts = JobParts(sources=self.source)
        self.nodes[number] = await stack.enter_async_context(running(place, job_parts=parts))
        return self.nodes[number]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def real(people: People, tmp_path: Path) -> AsyncIterator[Real]:
    async with crew(people, tmp_path, Bytes({}), made=Real) as found:
        council = found.nodes[1].node.council.part.council
        cluster_key = ClusterKey(1, people.authority.cluster_key)
        record = wrap(
            KEY,
            cluster_key,
            dataset="corpus",
            created_unix_ms=int(time.time() * 1000),
            nonce=secrets.token_bytes(12),
        )
        await CouncilKeyring(council, {1: cluster_key}).put(record, "test")
        yield found


async def submit(real: Real, objects: dict[bytes, bytes], text: str, chunk_bytes: int) -> str:
    assert isinstance(real.source, Bytes)
    real.source.objects = objects
    real.source.files = {path: len(data) for path, data in objects.items()}
    spread = [
        job_pb2.SpreadRule(level=job_pb2.SPREAD_LEVEL_ZONE, count=1),
        job_pb2.SpreadRule(level=job_pb2.SPREAD_LEVEL_CLOUD, count=1),
    ]
    policy = job_pb2.Policy(replicas=2, ack_copies=2, spread=spread)
    spec = job_pb2.JobSpec(
        dataset="corpus",
        source="memory://",
        pipeline_toml=text,
        policy=policy,
        chunk_size_bytes=chunk_bytes,
    )
    keepers = [node.node.jobs.world.own for node in real.nodes.values()]
    header = records_pb2.JobHeader(
        id=new_id(),
        spec=spec,
        request_digest=request_digest(spec),
        keepers=[records_pb2.Keeper(node=keeper) for keeper in keepers],
        steward=keepers[0],
        epoch=1,
        version="1",
        key_id=KEY.id,
    )
    return (await real.nodes[1].node.jobs.plane.headers.create(header)).id


async def results_of(real: Real, job: str) -> list[task_pb2.TaskResult]:
    """One of each task, as the keepers have them."""
    jobs = next(iter(real.nodes.values())).node.jobs.plane
    nodes = [keeper.node for keeper in jobs.known[job].value.keepers]
    keepers = Keepers(job, nodes, jobs.world.own, jobs.keeping, jobs.world.channel)
    found = [fact.result for fact in await keepers.known() if fact.HasField("result")]
    return list({result.task: result for result in found}.values())


async def test_a_job_ends_with_every_byte_safe_and_the_same(real: Real) -> None:
    objects = {f"d/{n:03}".encode(): secrets.token_bytes(n * 5000) for n in range(40)}
    objects[b"big"] = secrets.token_bytes(3 * MIB + 7)
    objects |= {b"odd \xff name": b"x", b"zz": b""}
    job = await submit(real, objects, 'input = "raw"', MIB)
    outcome = await real.ended(job, 40)
    assert outcome.state == job_pb2.JOB_STATE_DONE, outcome.error
    assert outcome.counts.objects_ingested == len(objects)
    assert outcome.manifest
    results = await results_of(real, job)
    assert await joined_files(list(real.nodes.values()), results) == objects
    workers = {result.worker for result in results}
    assert len(workers) > 1


async def test_records_of_a_job_add_up(real: Real) -> None:
    rows = [[{"id": n * 1000 + k} for k in range(200)] for n in range(4)]
    objects = {
        f"{n}.jsonl".encode(): b"".join(json.dumps(row).encode() + b"\n" for row in some) + b"no\n"
        for n, some in enumerate(rows)
    }
    job = await submit(real, objects, PIPELINE, 4096)
    outcome = await real.ended(job, 60)
    assert outcome.state == job_pb2.JOB_STATE_DONE, outcome.error
    counts = outcome.counts
    assert (counts.records_in, counts.records_out, counts.records_quarantined) == (804, 800, 4)
    assert sum(bool(result.quarantine) for result in await results_of(real, job)) == 4


async def test_a_job_goes_on_when_the_steward_dies_in_the_middle(real: Real) -> None:
    objects = {f"{n:03}".encode(): secrets.token_bytes(MIB // 2) for n in range(30)}
    assert isinstance(real.source, Bytes)
    real.source.free_reads = 10
    job = await submit(real, objects, 'input = "raw"', MIB // 2)
    runs = real.nodes[1].node.jobs.plane.runs
    await until(lambda: job in runs and runs[job].steward.ledger.totals().tasks_acked > 2)
    await real.stop(1)
    real.source.gate.set()
    outcome = await real.ended(job, 60)
    assert outcome.state == job_pb2.JOB_STATE_DONE, outcome.error
    assert outcome.counts.objects_ingested == 30
