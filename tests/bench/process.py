"""What processing costs: 8 MiB of records through each step in one thread, and through a worker."""

import json
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping

from nodeagent.core.pipeline.cut import Part
from nodeagent.core.pipeline.model import Pipeline
from nodeagent.core.pipeline.source import BytesSource
from nodeagent.memory import raise_malloc_thresholds
from nodeagent.process.caller import Caller
from nodeagent.process.engine import Engine
from nodeagent.process.pipeline_file import checked
from nodeagent.process.pool import Limits, Pool, Task
from nodeagent.process.read import Bounds
from tests.bench.frame import Goal, Row, Say, row

RUNS = 7
MIB = 8
GOAL = Goal(100)
BOUNDS = Bounds(chunk_bytes=16 << 20)
ADDS = {"python": "what it adds to validate.schema; without the function's own process"}
WORDS = [
    "bucket",
    "node",
    "frame",
    "safe",
    "copy",
    "trace",
    "region",
    "price",
    "chunk",
    "relay",
    "fsync",
    "steward",
]

SCHEMA = """
[[step]]
use = "validate.schema"
fields = { id = "int64", text = "string", lang = "string", score = "float64" }
"""
STEPS: Mapping[str, str] = {
    "validate.expect": 'not_null = ["id"]\nrange = { score = [0, 1] }\nregex = { text = "[a-z]" }',
    "transform.sql": 'query = "SELECT id, lower(text) AS text FROM chunk WHERE length(text) > 10"',
    "transform.cast": 'columns = { score = "float32" }',
    "filter": "where = \"lang = 'en'\"",
    "dedupe": 'by = ["text"]',
    "sample": "share = 0.5",
    "shuffle.chunk": "",
    "text.normalise": 'columns = ["text"]\nspaces = true',
    "python": 'call = "tests.bench.process:echo"',
}


def echo(record: dict[str, object]) -> dict[str, object]:
    """The function that the step `python` calls here."""
    return record


async def rows(say: Say) -> AsyncIterator[Row]:
    raise_malloc_thresholds()  # As a worker does.
    data = _records()
    count = data.count(b"\n")
    how = f"{MIB} MiB of jsonl, {count:,} records, one thread"
    say(how)
    raw = checked('input = "raw"', "bench", None)
    yield row("pass-through", _samples(raw, data), "ms", f"{MIB} MiB", goal=GOAL)
    read = _samples(_pipeline(""), data)
    yield row("validate.schema", read, "ms", how + ", read and written", goal=GOAL)
    base_ms = sorted(read)[len(read) // 2]
    for name, options in STEPS.items():
        pipeline = _pipeline(f'[[step]]\nuse = "{name}"\n{options}\n')
        beyond = [max(0.0, took - base_ms) for took in _samples(pipeline, data)]
        yield row(name, beyond, "ms", ADDS.get(name, "what it adds to validate.schema"))
    for form in ("parquet", "tar"):
        took = _samples(_pipeline(f'[output]\nformat = "{form}"\n'), data)
        yield row(f"validate.schema to {form}", took, "ms", how)
    bad = data.replace(b'"lang"', b'lang"', 8)
    yield row("validate.schema, 8 bad lines", _samples(_pipeline(""), bad), "ms", how)
    free = checked('[[step]]\nuse = "filter"\nwhere = "true"\n', "bench", None)
    yield row("read without a schema", _samples(free, data), "ms", how)
    async with Pool(Limits(workers=1)) as pool:
        for name, pipeline in (("pass-through", raw), ("validate.schema", _pipeline(""))):
            took = [await _pooled(pool, pipeline, data) for _ in range(RUNS + 1)][1:]
            yield row(
                f"{name}, in a worker", took, "ms", "wall time, all bytes there and back", goal=GOAL
            )
    async with Pool(Limits(workers=1)) as pool:
        begun_s = time.monotonic()
        await _pooled(pool, raw, b"")
        yield row(
            "start of a worker", [(time.monotonic() - begun_s) * 1e3], "ms", "once", at="only"
        )


def _pipeline(more: str) -> Pipeline:
    return checked(f'input = "jsonl"\n{SCHEMA}{more}', "bench", None)


def _samples(pipeline: Pipeline, data: bytes) -> list[float]:
    caller = Caller([os.getcwd()], busy=lambda: None)
    engine = Engine(pipeline, caller, BOUNDS)
    part, source = _part(data), BytesSource(data)

    def work() -> None:
        for _ in engine.run([part], lambda part: source):
            pass

    work()  # The first one warms up.
    found = [_took_ms(work) for _ in range(RUNS)]
    caller.close()
    return found


def _took_ms(work: Callable[[], None]) -> float:
    """Of the processor, ours and Polars' thread together: others beside this change it little."""
    begun_s = time.process_time()
    work()
    return (time.process_time() - begun_s) * 1e3


async def _pooled(pool: Pool, pipeline: Pipeline, data: bytes) -> float:
    class Source:
        async def read(self, offset_bytes: int, size_bytes: int) -> bytes:
            return data[offset_bytes : offset_bytes + size_bytes]

    task = Task(pipeline, [_part(data)], BOUNDS.chunk_bytes, BOUNDS.record_bytes_max)
    begun_s = time.perf_counter()
    async for _ in pool.run(task, lambda part: Source()):
        pass
    return (time.perf_counter() - begun_s) * 1e3


def _part(data: bytes) -> Part:
    return Part("bench.jsonl", 0, len(data), 0, len(data))


def _records() -> bytes:
    """Lines whose words come by chance, about 170 bytes each."""
    chance = os.urandom(1 << 20)
    lines: list[bytes] = []
    size = at = 0
    while size < MIB << 20:
        picked = chance[at : at + 20]
        at = (at + 20) % (len(chance) - 20)
        record = {
            "id": len(lines),
            "text": " ".join(WORDS[byte % len(WORDS)] for byte in picked),
            "lang": ("en", "de")[picked[0] % 2],
            "score": picked[1] / 256,
        }
        lines.append(json.dumps(record).encode())
        size += len(lines[-1]) + 1
    return b"\n".join(lines) + b"\n"
