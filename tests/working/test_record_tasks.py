"""Tasks whose records go through a pipeline in a worker process, into chunks on real nodes."""

import json

from multicloud.v1 import task_pb2
from nodeagent.jobs.working.records import Filled, Recording, processed
from nodeagent.process.events import Closed, Data, Done, Opened
from nodeagent.process.read import Bounds
from tests.process.tasks import pipeline
from tests.support.nodes import Running, until
from tests.working.workbench import Batching, bench

CLEAN = """
input = "jsonl"
[[step]]
use = "validate.schema"
fields = { id = "int64", text = "string" }
on_bad = "quarantine"
[[step]]
use = "transform.sql"
query = "SELECT id, upper(text) AS text FROM chunk WHERE id <> 3"
[output]
format = "jsonl"
"""


def lines(*records: object) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def test_what_steps_see_at_once_is_never_too_long_for_a_record() -> None:
    for target_bytes in (1 << 10, 64 << 20, 512 << 20):
        asked = processed([], pipeline(CLEAN), target_bytes, 64 << 20, ())
        Bounds(asked.chunk_bytes, asked.record_bytes_max)  # As the process that gets it checks.


async def test_records_are_processed_and_bad_ones_put_aside(trio: list[Running]) -> None:
    good = [{"id": n, "text": f"word {n}"} for n in range(6)]
    objects = {
        "a.jsonl": lines(*good[:3], {"id": "none", "text": "x"}),
        "b.jsonl": lines(*good[3:]),
    }
    async with bench(trio, objects, text=CLEAN) as work:
        work.steward.give(*work.tasks())
        (result,) = await work.done(1)
        wanted = [{**one, "text": str(one["text"]).upper()} for one in good]
        assert await work.files() == {
            "a/part-00000.jsonl": lines(*wanted[:3]).replace(b": ", b":").replace(b", ", b","),
            "b/part-00000.jsonl": lines(*wanted[4:]).replace(b": ", b":").replace(b", ", b","),
        }
        assert [file.origin for file in result.files] == [b"a.jsonl", b"b.jsonl"]
        assert [file.records for file in result.files] == [3, 2]
        (place,) = result.quarantine
        (told,) = map(json.loads, (await work.plain_of(result.chunks[place])).splitlines())
        assert (told["path"], told["step"]) == ("a.jsonl", "validate.schema")
        assert told["offset"] == len(lines(*good[:3]))
        assert json.loads(told["record"]) == {"id": "none", "text": "x"}
        steps = {one.step: one for one in result.steps}
        assert steps["validate.schema"].records_quarantined == 1
        assert steps["transform.sql"].remakes
        assert steps["write"].records_out == 5
        await until(work.ledger.safe)


async def test_an_input_that_is_broken_is_skipped_with_its_reason(trio: list[Running]) -> None:
    text = 'input = "parquet"\n[output]\nformat = "jsonl"\n'
    async with bench(trio, {"a.parquet": b"no such thing", "b.parquet": b""}, text=text) as work:
        work.steward.give(*work.tasks())
        (result,) = await work.done(1)
        (skipped,) = result.skipped
        assert skipped.path == b"a.parquet"
        assert skipped.reason
        assert result.objects_ingested == 1


async def test_an_object_that_changes_while_it_is_processed_is_skipped(
    trio: list[Running],
) -> None:
    objects = {"a.jsonl": lines({"id": 1, "text": "a"}), "b.jsonl": lines({"id": 2, "text": "b"})}
    async with bench(trio, objects, text=CLEAN) as work:
        work.source.changed = {"a.jsonl": 0}
        work.steward.give(*work.tasks())
        (result,) = await work.done(1)
        assert [(one.path, one.reason) for one in result.skipped] == [(b"a.jsonl", "changed")]
        assert list(await work.files()) == ["b/part-00000.jsonl"]


async def test_small_objects_are_read_ahead_for_the_process_that_takes_them_one_by_one(
    trio: list[Running],
) -> None:
    objects = {f"{n:03}.jsonl": lines({"id": n + 10, "text": "a"}) for n in range(300)}
    async with bench(trio, objects, text=CLEAN, source_of=Batching) as work:
        assert isinstance(work.source, Batching)
        work.source.changed = {"017.jsonl": 0}
        work.steward.give(*work.tasks())
        (result,) = await work.done(1)
        assert [one.path for one in result.skipped] == [b"017.jsonl"]
        assert len(await work.files()) == 299
        assert work.source.goes <= 4
        await until(work.ledger.safe)


async def test_records_that_must_not_be_bad_refuse_the_task(trio: list[Running]) -> None:
    text = CLEAN.replace('"quarantine"', '"fail"')
    async with bench(trio, {"a.jsonl": lines({"id": "x", "text": "a"})}, text=text) as work:
        work.steward.give(*work.tasks())
        await until(lambda: work.steward.refused)
        assert work.steward.refused[0].reason == "RECORDS_BAD"


async def test_what_a_pipeline_makes_is_cut_into_chunks_without_a_gap() -> None:
    inputs = [task_pb2.TaskInput(path=path) for path in (b"a.jsonl", b"skipped.jsonl", b"c.jsonl")]
    found = pipeline('input = "jsonl"\n[output]\nformat = "jsonl"\n')
    recording = Recording(inputs, found, target_bytes=100, chunk_bytes_max=10)
    files = {"a/part-00000.jsonl": b"0123456789" * 2, "c/part-00000.jsonl": b"abcdefg" * 5}
    chunks: list[Filled] = []

    async def take(event: Opened | Data | Closed | Done) -> None:
        async for full, aside in recording.take(event):
            assert not aside
            chunks.append(full)
            recording.placed(len(chunks) - 1)

    for path, data in files.items():
        await take(Opened(path, 0))
        for at in range(0, len(data), 7):
            await take(Data(data[at : at + 7]))
        await take(Closed(3))
    await take(Done(()))
    joined: dict[str, bytes] = {}
    for file in sorted(recording.files, key=lambda file: (file.path, file.at_bytes)):
        plain = b"".join(chunks[file.chunk].pieces)
        end = file.offset_bytes + file.size_bytes
        path = file.path.decode()
        joined[path] = joined.get(path, b"") + plain[file.offset_bytes : end]
    assert joined == files
    assert all(chunk.size_bytes <= 10 for chunk in chunks)
    assert sum(file.records for file in recording.files) == 6
    assert {file.path: file.origin for file in recording.files} == {
        b"a/part-00000.jsonl": b"a.jsonl",
        b"c/part-00000.jsonl": b"c.jsonl",
    }
