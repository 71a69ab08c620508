"""Standing jobs over folders of nodes: each version has what was settled, once, whoever is lost."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from multicloud.errors import McError
from multicloud.v1 import job_pb2, job_pb2_grpc, records_pb2
from nodeagent.jobs.following.deciding import Look, batch, job_of
from nodeagent.jobs.following.run import FollowRun
from nodeagent.rpc.access import OPERATOR
from tests.sources.ground import Site
from tests.support.nodes import channel, make_place, running, until
from tests.support.people import People

WATCH = {"probe_s": 1.0, "suspect_s": 2.5, "silent_s": 5.0}  # One loop for all: not too keen.
SOON = job_pb2.Follow(settle_ms=300, every_ms=200, rescan_ms=400)


class Street:
    """Four nodes; the folder is on the second, so the first may stay and be asked."""

    def __init__(self, people: People, folder: Path) -> None:
        self.people, self.raw = people, folder / "raw"
        self.sites: dict[int, Site] = {}
        self.stacks: dict[int, AsyncExitStack] = {}
        self.raw.mkdir()

    async def start(self, folder: Path, number: int) -> None:
        known = [site.running.address for site in self.sites.values()]
        join = {"peers": known, "greet_every_s": 0.2, "greet_timeout_s": 1.0}
        await self.up(
            number, make_place(self.people, folder, number, {"join": join, "watch": WATCH})
        )

    async def up(self, number: int, place) -> None:  # type: ignore[no-untyped-def]
        stack = self.stacks[number] = AsyncExitStack()
        self.sites[number] = Site(await stack.enter_async_context(running(place)))

    async def stop(self, number: int) -> Site:
        site = self.sites.pop(number)
        await self.stacks.pop(number).aclose()
        return site

    async def follow(self, rule: job_pb2.Follow = SOON) -> str:
        policy = job_pb2.Policy(replicas=2, ack_copies=2)
        for level in (job_pb2.SPREAD_LEVEL_ZONE, job_pb2.SPREAD_LEVEL_CLOUD):
            policy.spread.add(level=level, count=1)
        spec = job_pb2.JobSpec(
            dataset="corpus",
            source=f"node://node-2{self.raw}",
            policy=policy,
            chunk_size_bytes=1 << 20,
            follow=rule,
        )
        async with channel(self.sites[1].running, self.people.operator("ada", OPERATOR)) as opened:
            stub = job_pb2_grpc.JobServiceStub(opened)
            made = await stub.CreateJob(
                job_pb2.CreateJobRequest(request_id="follow", spec=spec), timeout=20
            )
        job: str = made.job.id
        return job

    async def change(self, what: str, job: str) -> job_pb2.Job:
        async with channel(self.sites[1].running, self.people.operator("ada", OPERATOR)) as opened:
            stub = job_pb2_grpc.JobServiceStub(opened)
            request = getattr(job_pb2, f"{what}Request")(job=job)
            found: job_pb2.Job = (await getattr(stub, what)(request, timeout=20)).job
            return found

    def header(self, job: str, by: int = 1) -> records_pb2.JobHeader:
        return self.sites[by].running.node.jobs.plane.known[job].value

    def follower(self, job: str) -> int:
        steward = self.header(job).steward
        return next((n for n, site in self.sites.items() if site.id == steward), 0)

    def runs(self, job: str) -> list[FollowRun]:
        planes = [site.running.node.jobs.plane for site in self.sites.values()]
        return [plane.follows[job] for plane in planes if job in plane.follows]

    def versions(self) -> list[str]:
        found = self.sites[1].running.node.jobs.datasets.versions.of("corpus")
        return [one.version for one in found]

    async def holds(self, version: str) -> dict[str, bytes]:
        await until(lambda: version in self.versions(), 40)
        reading = self.sites[1].running.node.jobs.datasets.reading
        manifest = await reading.manifest("corpus", version)
        paths = [file.path async for file in manifest.entries(b"")]
        assert len(paths) == len(set(paths))
        found: dict[str, bytes] = {}
        for path in paths:
            pieces: list[bytes] = []

            async def give(piece: bytes, into: list[bytes] = pieces) -> None:
                into.append(bytes(piece))

            await reading.read(manifest, path, give)
            found[os.fsdecode(path)] = b"".join(pieces)
        return found

    async def newest(self, wanted: dict[str, bytes]) -> str:
        """The version that has exactly these files; the last one that there is."""
        async with asyncio.timeout(60):
            while True:
                versions = self.versions()
                if versions and await self.holds(versions[-1]) == wanted:
                    return versions[-1]
                await asyncio.sleep(0.1)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def street(people: People, tmp_path: Path) -> AsyncIterator[Street]:
    found = Street(people, tmp_path)
    try:
        for number in (1, 2, 3, 4):
            await found.start(tmp_path, number)
        await until(lambda: all(map(_sees_all, found.sites.values())), 30)
        await found.sites[2].allow(found.raw.parent)
        yield found
    finally:
        for number in list(found.stacks):
            await found.stop(number)


def _sees_all(site: Site) -> bool:
    node = site.running.node
    members = node.jobs.world.view().members
    return len([m for m in members.values() if m.facts is not None]) == 4


async def test_each_batch_of_new_files_is_a_version_and_nothing_is_read_twice(
    street: Street,
) -> None:
    (street.raw / "a").write_bytes(b"first")
    job = await street.follow()
    assert street.follower(job) == 2  # Where the folder is.
    assert await street.newest({"a": b"first"}) == "1"
    (street.raw / "b").write_bytes(b"second")
    assert await street.newest({"a": b"first", "b": b"second"}) == "2"
    await until(lambda: street.header(job).batch.number == 2)
    child = await street.change("GetJob", (await street.change("GetJob", job)).batch_job)
    assert (child.spec.batch.standing_job, child.base_version) == (job, "1")
    assert (child.counts.objects_taken, child.counts.bytes_in) == (1, len(b"second"))

    assert (await street.change("PauseJob", job)).state == job_pb2.JOB_STATE_PAUSED
    (street.raw / "c").write_bytes(b"third")
    (street.raw / "a").unlink()
    await until(lambda: all(run.waits == "it is paused" for run in street.runs(job)))
    assert street.versions() == ["1", "2"]
    await street.change("ResumeJob", job)
    assert await street.newest({"b": b"second", "c": b"third"}) == "3"

    assert (await street.change("CancelJob", job)).state == job_pb2.JOB_STATE_CANCELLED
    await until(lambda: not street.runs(job))
    shown = await street.change("GetJob", job)
    assert (shown.state, shown.batch.number) == (job_pb2.JOB_STATE_CANCELLED, 3)


async def test_a_file_that_is_being_written_is_in_no_version_before_it_is_settled(
    street: Street,
) -> None:
    async def write() -> None:
        with (street.raw / "growing").open("ab", buffering=0) as file:
            while True:
                file.write(b"x" * 10)
                await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as group:
        writing = group.create_task(write())
        (street.raw / "whole").write_bytes(b"whole")
        await street.follow()
        assert await street.newest({"whole": b"whole"}) == "1"
        writing.cancel()
    grown = (street.raw / "growing").read_bytes()
    assert await street.newest({"whole": b"whole", "growing": grown}) == "2"


async def test_another_node_follows_when_one_is_lost_and_makes_the_batch_that_was_decided(
    street: Street,
) -> None:
    (street.raw / "a").write_bytes(b"first")
    job = await street.follow()
    await street.newest({"a": b"first"})
    # It dies between its decision about a batch and the making of that batch's job: whatever it
    # would have decided last is decided here, and nobody has made the job.
    gone = await street.stop(2)
    value = street.header(job)
    decided = batch(job, Look(2**50, value.batch.changed_until_unix_ms), value.batch)

    def edit(now: records_pb2.JobHeader) -> None:
        now.batch.CopyFrom(decided)

    await street.sites[1].running.node.jobs.plane.headers.change(job, edit)
    await until(lambda: street.follower(job) in (1, 3, 4), 40)
    claimed = street.sites[1].running.node.jobs.plane.headers

    async def made() -> records_pb2.JobHeader:
        async with asyncio.timeout(40):
            while True:
                known = claimed.all()
                found = [one.value for one in known if one.value.spec.batch == decided]
                if found:
                    assert len(found) == 1
                    return found[0]
                await asyncio.sleep(0.1)

    child = await made()
    assert child.spec == job_of(value.spec, decided).spec
    (street.raw / "b").write_bytes(b"second")
    await street.up(2, gone.running.place)
    assert await street.newest({"a": b"first", "b": b"second"})
    jobs = [one.value.spec.batch.number for one in claimed.all() if one.value.spec.batch.number]
    assert len(jobs) == len(set(jobs))  # No batch has two jobs.


async def test_only_folders_of_nodes_can_be_followed_and_nobody_names_batches(
    street: Street,
) -> None:
    for spec, field in (
        (job_pb2.JobSpec(dataset="x", source="s3://b/", follow=SOON), "spec.source"),
        (
            job_pb2.JobSpec(dataset="x", source="node://n/x", follow=job_pb2.Follow()),
            "spec.follow.settle_ms",
        ),
        (
            job_pb2.JobSpec(dataset="x", source="node://n/x", batch=job_pb2.Batch(number=1)),
            "spec.batch",
        ),
    ):
        with pytest.raises(McError) as caught:
            await street.sites[1].running.node.jobs._job_service.making.check(spec)
        assert field in [fault.field for fault in caught.value.faults]
