"""Tasks whose bytes pass through, from a source in memory to chunks on real nodes."""

import secrets
import time

from blake3 import blake3

from multicloud.v1 import task_pb2
from nodeagent.jobs.contract import SMALL_BYTES
from tests.support.nodes import Running, until
from tests.working.workbench import Batching, bench, disk, fill

MIB = 1 << 20


async def test_small_files_share_a_chunk_and_come_back_bit_by_bit(trio: list[Running]) -> None:
    objects = {f"dir/{n:03}": secrets.token_bytes(n * 37) for n in range(100)}
    async with bench(trio, objects) as work:
        tasks = work.tasks()
        work.steward.give(*tasks)
        (result,) = await work.done(1)
        assert await work.files() == objects
        (chunk,) = result.chunks
        assert len({copy.node for copy in chunk.copies}) == 2
        assert all(
            file.blake3 == blake3(objects[file.path.decode()]).digest() for file in result.files
        )
        assert (result.objects_ingested, result.bytes_in) == (100, sum(map(len, objects.values())))
        await until(work.ledger.safe)
        assert work.room.used_bytes == work.room.used_slots == 0


async def test_small_objects_are_read_in_few_goes_and_one_that_changed_spoils_no_other(
    trio: list[Running],
) -> None:
    objects = {f"{n:03}": secrets.token_bytes(n * 10) for n in range(300)}
    objects["0995"] = secrets.token_bytes(SMALL_BYTES + 1)  # In the middle of them.
    objects = dict(sorted(objects.items()))
    async with bench(trio, objects, source_of=Batching) as work:
        assert isinstance(work.source, Batching)
        work.source.changed = {"100": 0, "200": 0}
        work.steward.give(*work.tasks())
        (result,) = await work.done(1)
        assert [one.path for one in result.skipped] == [b"100", b"200"]
        assert await work.files() == {k: v for k, v in objects.items() if k not in ("100", "200")}
        # What was given when the first was found out is read anew.
        assert work.source.goes <= 8
        await until(work.ledger.safe)


async def test_a_file_of_several_tasks_is_the_sum_of_them(trio: list[Running]) -> None:
    objects = {"big": secrets.token_bytes(5 * MIB + 12345)}
    async with bench(trio, objects, target_bytes=2 * MIB) as work:
        tasks = work.tasks()
        assert len(tasks) == 3
        work.steward.give(*reversed(tasks))
        results = await work.done(3)
        assert await work.files() == objects
        assert [result.objects_ingested for result in results] == [1, 0, 0]
        await until(lambda: len(work.ledger.safe()) == 3)


async def test_empty_files_need_no_chunk(trio: list[Running]) -> None:
    async with bench(trio, {"a": b"", "b": b""}) as work:
        work.steward.give(*work.tasks())
        (result,) = await work.done(1)
        assert not result.chunks
        assert [file.path for file in result.files] == [b"a", b"b"]
        assert result.objects_ingested == 2
        await until(work.ledger.safe)


async def test_an_object_that_changed_is_named_and_the_others_are_whole(
    trio: list[Running],
) -> None:
    objects = {name: secrets.token_bytes(MIB + 5) for name in "abcd"}
    async with bench(trio, objects, target_bytes=8 * MIB) as work:
        work.source.changed = {"b": 0, "c": MIB}  # Before its first byte, and in the middle.
        work.steward.give(*work.tasks())
        (result,) = await work.done(1)
        assert await work.files() == {"a": objects["a"], "d": objects["d"]}
        assert [(one.path, one.reason) for one in result.skipped] == [
            (b"b", "changed"),
            (b"c", "changed"),
        ]
        assert result.objects_ingested == 2
        plain = await work.plain_of(result.chunks[0])
        assert len(plain) == 2 * MIB + 10


async def test_an_object_that_changed_under_a_later_task_is_cut_short(
    trio: list[Running],
) -> None:
    async with bench(trio, {"big": bytes(3 * MIB)}, target_bytes=MIB) as work:
        work.source.changed = {"big": 2 * MIB}
        work.steward.give(*work.tasks())
        first, _, third = await work.done(3)
        assert first.objects_ingested == 1
        assert not third.skipped
        assert not third.chunks
        assert [one.path for one in third.cut_short] == [b"big"]


async def test_a_source_that_is_away_is_said_and_no_result_is_made(trio: list[Running]) -> None:
    async with bench(trio, {"a": b"data"}) as work:
        work.source.away = True
        (task,) = work.tasks()
        work.steward.give(task)
        await until(lambda: work.steward.refused)
        assert work.steward.refused[0].reason == "SOURCE_AWAY"
        work.source.away = False
        work.steward.give(task)
        await work.done(1)
        assert await work.files() == {"a": b"data"}


async def test_reads_that_fail_for_a_moment_are_tried_again(trio: list[Running]) -> None:
    async with bench(trio, {"a": b"data"}) as work:
        work.source.faults = 2
        work.steward.give(*work.tasks())
        await work.done(1)
        assert not work.steward.refused
        assert work.source.reads == 3


async def test_a_full_node_is_passed_by(trio: list[Running]) -> None:
    fill(trio[1], full=True)
    try:
        async with bench(trio, {f"{n}": secrets.token_bytes(MIB) for n in range(6)}) as work:
            work.steward.give(*work.tasks())
            results = await work.done(6)
            await until(lambda: len(work.ledger.safe()) == 6)
        holders = {copy.node for result in results for copy in result.chunks[0].copies}
        assert holders == {trio[0].place.id, trio[2].place.id}
    finally:
        fill(trio[1], full=False)


async def test_what_is_acked_counts_though_it_does_not_become_safe(trio: list[Running]) -> None:
    fill(trio[1], full=True)
    try:
        async with bench(trio, {"a": b"data"}, replicas=3) as work:
            work.steward.give(*work.tasks())
            (result,) = await work.done(1)
            assert len(result.chunks[0].copies) == 2
            await until(lambda: not work.room.unsafe)
            assert not work.ledger.safe()
    finally:
        fill(trio[1], full=False)


async def test_a_chunk_that_nobody_took_is_read_and_sealed_anew(trio: list[Running]) -> None:
    objects = {"a": secrets.token_bytes(MIB + 9), "b": secrets.token_bytes(77)}
    async with bench(trio, objects, target_bytes=4 * MIB) as work:
        for node in trio:
            disk(node).refusals = 1
        work.steward.give(*work.tasks())
        await work.done(1)
        assert await work.files() == objects
        assert work.source.reads > 3
    for node in trio:
        disk(node).refusals = 0


async def test_a_task_whose_chunk_finds_no_place_is_refused_and_can_be_done_later(
    trio: list[Running],
) -> None:
    async with bench(trio, {"a": b"data"}) as work:
        for node in trio:
            fill(node, full=True)
        (task,) = work.tasks()
        work.steward.give(task)
        await until(lambda: work.steward.refused, 20)
        assert work.steward.refused[0].reason == "COPIES_MISSING"
        assert work.room.used_slots == work.room.used_bytes == 0
        for node in trio:
            fill(node, full=False)
        work.steward.give(task)
        await work.done(1)
        assert await work.files() == {"a": b"data"}


async def test_a_worker_reads_no_faster_than_its_share(trio: list[Running]) -> None:
    began_s = time.monotonic()
    async with bench(trio, {"a": bytes(3 << 20)}, target_bytes=4 << 20) as work:
        order = task_pb2.WorkOrder(job=work.header.id, bytes_per_s_max=4 << 20)
        work.steward.tasks.put_nowait(task_pb2.PullTasksResponse(order=order))
        work.steward.give(*work.tasks())
        await work.done(1)
    assert time.monotonic() - began_s >= 0.5  # The last of three pieces waits for two before it.
