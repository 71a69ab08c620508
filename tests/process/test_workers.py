"""Workers are processes: what happens inside stays there, and the next task finds a good one."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from multicloud.errors import McError
from nodeagent.config.model import Process
from nodeagent.core.pipeline.counts import Counts
from nodeagent.core.pipeline.cut import cut, rule_for
from nodeagent.process.events import Event
from nodeagent.process.pool import Limits, Pool, Task, limits_of
from tests.process.tasks import BOUNDS, Result, pipeline
from tests.process.test_engine import tar_of

HERE = str(Path(__file__).parent)


@pytest.fixture(scope="module")
async def pool() -> AsyncIterator[Pool]:
    async with Pool(Limits(workers=2, memory_bytes_max=1 << 30, step_timeout_s=30)) as made:
        yield made


class InMemory:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.reads = 0

    async def read(self, offset_bytes: int, size_bytes: int) -> bytes:
        self.reads += 1
        return self._data[offset_bytes : offset_bytes + size_bytes]


def task(text: str, data: bytes, path: str = "a.jsonl") -> Task:
    found = pipeline(text)
    (parts,) = cut([(path, len(data))], rule_for(found, 64 << 20))
    return Task(found, parts, BOUNDS.chunk_bytes, BOUNDS.record_bytes_max, [HERE])


async def run(pool: Pool, text: str, data: bytes, path: str = "a.jsonl") -> Result:
    events: list[Event] = []
    async with aclosing(pool.run(task(text, data, path), lambda part: InMemory(data))) as found:
        events += [event async for event in found]
    result = Result()
    result.add(events)
    return result


def jsonl(*records: object) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def rows(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.files["a.jsonl"].splitlines()]


def python(call: str, more: str = "") -> str:
    return f'[[step]]\nuse = "python"\ncall = "acme_functions:{call}"\n{more}\n'


async def test_a_task_runs_in_a_worker_and_its_source_is_read_in_large_pieces(pool: Pool) -> None:
    data = jsonl(*({"id": i, "text": "x" * 100} for i in range(30_000)))
    source = InMemory(data)
    text = '[[step]]\nuse = "validate.schema"\nfields = { id = "int64", text = "string" }\n'
    events = [event async for event in pool.run(task(text, data), lambda part: source)]
    result = Result()
    result.add(events)
    assert len(rows(result)) == 30_000
    assert source.reads <= 4


async def test_a_range_costs_little_more_than_its_bytes(pool: Pool) -> None:
    data = jsonl(*({"id": i, "text": "x" * 100} for i in range(100_000)))
    found = pipeline('[[step]]\nuse = "dedupe"\nby = ["id"]\n')
    read = 0

    class Counting(InMemory):
        async def read(self, offset_bytes: int, size_bytes: int) -> bytes:
            nonlocal read
            got = await super().read(offset_bytes, size_bytes)
            read += len(got)
            return got

    for parts in cut([("a.jsonl", len(data))], rule_for(found, 4 << 20)):
        one = Task(found, parts, 5 << 20, 5 << 20)
        async for _ in pool.run(one, lambda part: Counting(data)):
            pass
    assert read < 1.04 * len(data)


async def test_a_file_in_a_tar_may_be_larger_than_a_frame(pool: Pool) -> None:
    body = os.urandom(20 << 20)
    data = tar_of(a__bin=body)
    text = '[[step]]\nuse = "dedupe"\nby = ["__key__"]\n'
    found = pipeline(text)
    (parts,) = cut([("a.tar", len(data))], rule_for(found, 64 << 20))
    out = Result()
    out.add(
        [
            e
            async for e in pool.run(
                Task(found, parts, 64 << 20, 64 << 20), lambda _: InMemory(data)
            )
        ]
    )
    assert out.files["a.tar"][512 : 512 + len(body)] == body


async def test_bytes_pass_through_a_worker_too(pool: Pool) -> None:
    data = os.urandom(3 << 20)
    assert (await run(pool, 'input = "raw"', data)).files == {"a.jsonl": data}


async def test_what_the_engine_raises_comes_out_and_the_worker_stays(pool: Pool) -> None:
    for _ in range(2):
        with pytest.raises(McError) as failed:
            await run(pool, '[[step]]\nuse = "dedupe"\nby = ["nope"]', jsonl({"a": 1}))
        assert failed.value.reason == "RECORDS_BAD"
    assert pool.replaced == 0


async def test_a_source_that_fails_ends_the_task_with_its_own_reason(pool: Pool) -> None:
    class Changed(InMemory):
        async def read(self, offset_bytes: int, size_bytes: int) -> bytes:
            raise McError("UNREACHABLE", "the laptop is gone")

    with pytest.raises(McError, match="the laptop is gone") as failed:
        async for _ in pool.run(task("", b"x"), lambda part: Changed(b"")):
            pass
    assert failed.value.reason == "UNREACHABLE"


async def test_functions_change_split_and_leave_out_records(pool: Pool) -> None:
    data = jsonl({"id": 1, "text": " Big "}, {"id": 2, "text": "two WORDS"})
    assert rows(await run(pool, python("normalise"), data)) == [
        {"id": 1, "text": "big"},
        {"id": 2, "text": "two words"},
    ]
    assert [r["word"] for r in rows(await run(pool, python("split"), data))] == [
        "Big",
        "two",
        "WORDS",
    ]
    odd = await run(pool, python("odd_only"), data)
    assert [r["id"] for r in rows(odd)] == [1]
    assert odd.counts[1] == Counts("python", 2, 1, records_filtered=1)


async def test_bytes_go_into_a_function_and_come_out_of_it(pool: Pool) -> None:
    text = '[[step]]\nuse = "validate.schema"\nfields.body = "binary"\n' + python("reversed_bytes")
    assert rows(await run(pool, text, jsonl({"body": "AAEC"}))) == [{"body": "AgEA"}]


BAD = {
    "raise": "it raised ValueError: this one I do not like",
    "hang": "it had not ended after 1.5 s",
    "spin": "it had not ended after 1.5 s",
    "crash": "its process was ended by signal 11",
    "leave": "it ended its process",
    "exit": "it raised SystemExit: 4",
    "garbage": "it gave a int, not a dict, a list of dicts or None",
    "object": "it raised TypeError: it gave a value of type object, which is no JSON",
    "eat": "it raised MemoryError",
    "flood": "its result has 20971541 bytes, 16777216 may be",
    "nonsense": "its process gave nonsense",
}


@pytest.mark.parametrize("do", BAD)
async def test_a_function_that_misbehaves_costs_its_record_and_no_other(
    pool: Pool, do: str
) -> None:
    records = [{"id": i, "do": do if i == 7 else ""} for i in range(20)]
    timeout = f"timeout_s = {1.5 if do in ('hang', 'spin') else 20}"
    result = await run(pool, python("misbehaving", timeout), jsonl(*records))
    assert [r["id"] for r in rows(result)] == [i for i in range(20) if i != 7]
    (bad,) = result.quarantined
    assert json.loads(bad.record)["id"] == 7
    assert bad.step == "python"
    if do != "nonsense":  # It depends on when it is noticed.
        assert bad.reason == f"acme_functions:misbehaving: {BAD[do]}"
    assert pool.replaced == 0


@pytest.mark.parametrize("do", ["print", "close"])
async def test_what_a_function_prints_goes_nowhere(pool: Pool, do: str) -> None:
    result = await run(
        pool, python("misbehaving", "timeout_s = 5"), jsonl({"id": 1, "do": do}, {"id": 2})
    )
    assert {"id": 2} in rows(result)
    assert len(result.quarantined) == (do == "close")


async def test_a_function_that_breaks_again_and_again_fails_its_task(pool: Pool) -> None:
    records = jsonl(*({"id": i, "do": "leave"} for i in range(40)))
    with pytest.raises(McError, match="broke its process 17 times") as failed:
        await run(pool, python("misbehaving"), records)
    assert failed.value.reason == "RECORDS_BAD"


async def test_bad_calls_fail_or_drop_as_the_step_says(pool: Pool) -> None:
    records = jsonl({"id": 1}, {"id": 2, "do": "raise"})
    dropped = await run(pool, python("misbehaving", 'on_bad = "drop"'), records)
    assert dropped.counts[1] == Counts("python", 2, 1, 0, 1, 0)
    with pytest.raises(McError, match="this one I do not like"):
        await run(pool, python("misbehaving", 'on_bad = "fail"'), records)


async def test_a_function_that_cannot_be_imported_is_told(pool: Pool) -> None:
    text = python("nobody") + '[output]\nformat = "jsonl"'
    with pytest.raises(McError, match="cannot be imported: it raised AttributeError") as failed:
        await run(pool, text, jsonl({"a": 1}))
    assert "process.python_path" in failed.value.next


async def test_a_function_is_shut_in(pool: Pool, tmp_path: Path) -> None:
    secret = tmp_path / "node.key"
    secret.write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        asked = {"port": server.getsockname()[1], "folder": str(tmp_path), "secret": str(secret)}
        (done,) = rows(await run(pool, python("tries"), jsonl(asked)))
    assert done.pop("thread") == "yes"
    assert done.pop("import") == "yes"
    if not landlock():
        done.pop("read")
    assert done == dict.fromkeys(done, "PermissionError")
    assert secret.read_text() == "secret"


def landlock() -> bool:
    found = subprocess.run(
        [sys.executable, "-c", "import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(found.stdout) > 0


async def test_a_worker_that_is_killed_is_told_of_and_replaced() -> None:
    async with Pool(Limits(workers=1)) as own:
        data = jsonl({"a": 1})
        await run(own, "", data)
        os.kill(own.pids[0], signal.SIGKILL)
        with pytest.raises(McError, match="signal 9") as failed:
            await run(own, "", data)
        assert failed.value.reason == "WORKER_LOST"
        assert (await run(own, "", data)).files == {"a.jsonl": data}
        assert own.replaced == 1


async def test_a_chunk_that_needs_too_much_memory_ends_its_worker_at_most() -> None:
    async with Pool(Limits(workers=1, memory_bytes_max=256 << 20)) as own:
        query = "SELECT a.n FROM chunk a CROSS JOIN chunk b CROSS JOIN chunk c"
        text = f'[[step]]\nuse = "transform.sql"\nquery = "{query}"\n'
        with pytest.raises(McError) as failed:
            await run(own, text, jsonl(*({"n": i} for i in range(700))))
        assert failed.value.reason in ("WORKER_LOST", "TOO_LARGE", "RECORDS_BAD")
        assert rows(await run(own, '[[step]]\nuse = "dedupe"', jsonl({"a": 1}))) == [{"a": 1}]


async def test_a_worker_that_stands_still_is_ended_by_time() -> None:
    async with Pool(Limits(workers=1, step_timeout_s=3)) as own:
        await run(own, "", b"")
        os.kill(own.pids[0], signal.SIGSTOP)
        with pytest.raises(McError, match="no sign of life"):
            await run(own, "", b"")


async def test_leaving_early_ends_what_runs_with_all_its_processes() -> None:
    async with Pool(Limits(workers=1)) as own:
        text = python("misbehaving", "timeout_s = 600")
        data = jsonl({"id": 1, "do": "hang"})

        async def forever() -> None:
            await run(own, text, data)

        async with asyncio.TaskGroup() as group:
            running = group.create_task(forever())
            while not (callees := descendants("nodeagent.process.callee")):
                await asyncio.sleep(0.05)
            running.cancel()
        while any(Path(f"/proc/{pid}").exists() for pid in callees):
            await asyncio.sleep(0.05)
        assert (await run(own, "", data)).files == {"a.jsonl": data}


def descendants(module: str) -> list[int]:
    """Processes of ours that run a module; those of other runs of these tests are not ours."""
    import psutil

    mine = psutil.Process().children(recursive=True)
    return [p.pid for p in mine if p.is_running() and module in " ".join(_words(p))]


def _words(process: "object") -> list[str]:
    import psutil

    assert isinstance(process, psutil.Process)
    try:
        return process.cmdline()
    except psutil.Error:
        return []


async def test_a_pipeline_is_checked_in_a_worker_with_all_its_faults(pool: Pool) -> None:
    assert (await pool.check('input = "raw"', "p.toml", [])).input == "raw"
    with pytest.raises(McError) as failed:
        await pool.check(python("normalise") + "x = 1\n", "p.toml", [])
    assert [fault.where for fault in failed.value.faults] == ["p.toml:5"]


async def test_tasks_wait_in_line_and_run_side_by_side(pool: Pool) -> None:
    data = jsonl({"id": 1, "text": "a"})
    done = await asyncio.gather(*(run(pool, python("normalise"), data) for _ in range(6)))
    assert all(rows(result) == [{"id": 1, "text": "a"}] for result in done)


def test_without_a_number_there_is_a_worker_for_each_core() -> None:
    assert limits_of(Process()).workers >= 1
    assert limits_of(Process(workers=3)) == Limits(3, Process().memory_bytes_max, 300.0)


def test_neither_the_pool_nor_a_worker_imports_what_it_must_not() -> None:
    def modules(code: str) -> set[str]:
        code += "\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        return set(json.loads(done.stdout))

    assert not {"polars", "pyarrow"} & modules("import nodeagent.process.pool")
    assert not {"polars", "pyarrow"} & modules("import mcctl.__main__, nodeagent.__main__")
    assert "grpc" not in modules(
        "import nodeagent.process.worker, nodeagent.process.engine, nodeagent.process.caller"
    )
    small = modules("import nodeagent.process.callee")
    assert not {"polars", "pyarrow", "grpc", "asyncio", "pydantic"} & small
