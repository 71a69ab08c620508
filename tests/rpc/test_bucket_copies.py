"""A copy in a bucket between real nodes: brought there by who has the chunk, read from there."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from coordinator.electorate import Ask
from coordinator.places import is_bucket, node_of
from coordinator.policy import ANY_BUCKET, Level, Policy
from coordinator.types import Domain
from nodeagent.clouds.memory import MemoryClouds
from nodeagent.store.open import open_volumes
from nodeagent.store.volumes import DISK, Volumes
from nodeagent.wire.fetch import fetch
from nodeagent.wire.outlet import Terms
from nodeagent.wire.parts import Parts, frame_part, header_part, trailer_part
from tests.support.meeting import meeting
from tests.support.nodes import Running, until
from tests.support.people import People
from tests.unit.store.store_world import large_chunk
from tests.unit.store.test_open_buckets import bucket_of, config_of, copies

JOB = "job-1"
WANTED = Policy(2, ((Level.NODE, 2),), bucket=ANY_BUCKET)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("authority"))


def sees_bucket(node: Running) -> bool:
    members = node.node.deliverer.brain.view().members.items()
    return any(is_bucket(name) and one.facts and one.facts.bytes_free for name, one in members)


async def test_a_chunk_is_safe_with_its_copy_in_a_bucket_and_read_when_no_disk_has_it(
    people: People, tmp_path: Path
) -> None:
    bucket = copies()
    config = config_of(tmp_path / "served", bucket_of(quota_bytes=1 << 30))
    (tmp_path / "served").mkdir()
    served = await open_volumes(config, tmp_path / "served", clouds=MemoryClouds(bucket))
    stores: list[Volumes] = [served]
    chunk = large_chunk(3 << 20)

    async def parts() -> Parts:
        yield header_part(chunk.header)
        for index, (frame, entry) in enumerate(
            zip(chunk.frames, chunk.envelope().entries, strict=True)
        ):
            yield frame_part(index, frame, entry.leaf)
        yield trailer_part(chunk.envelope())

    async with AsyncExitStack() as stack:
        first = lambda _: stores.pop() if stores else None  # noqa: E731
        nodes = await meeting(stack, people, tmp_path, 3, store=first)
        server, sender, other = nodes
        await until(lambda: all(map(sees_bucket, nodes)), 20)
        own = sender.node.roster.own
        at = Domain(own.domain.cloud, own.domain.region, own.domain.zone)
        ask = Ask(WANTED, at, "task-1", len(chunk.file), source_node=own.id)
        election = sender.node.deliverer.brain.elect(ask, {})
        terms = Terms(JOB, "task-1", len(chunk.file) + 4096)
        done = await sender.node.deliverer.deliver(parts, election, terms)
        done.demand_safe()
        held = {copy.node for copy in done.reached.copies}
        (there,) = (name for name in held if is_bucket(name))
        assert node_of(there) == server.place.id
        assert len(held) == 3
        (late,) = served.buckets
        assert [pin.holder for pin in await late.pins(chunk.id)] == [JOB]
        key = f"prod/chunks/{chunk.id.hex()[:2]}/{chunk.id.hex()}"
        assert bucket.objects[key][1] == chunk.file

        for node in nodes:
            disks = node.node.data.store.named(DISK)
            await disks.unpin(JOB)
            if await disks.find([chunk.id]):
                assert await disks.trash(chunk.id, "as if the disks were lost")
                await disks.purge(chunk.id)
        async with fetch(other.node.data.ground, server.place.id, chunk.id) as fetching:
            assert [frame async for frame in fetching.frames()] == list(chunk.frames)
