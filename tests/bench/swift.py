"""The same file into OpenStack Swift with three replicas and into three of our daemons; and small
puts into both.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import psutil

from tests.bench import payload
from tests.bench.fleet import bench_folder, fleet, sender
from tests.bench.frame import Goal, Row, Say, not_run, row
from tests.bench.ingest import CHUNK_BYTES, MANY, NODES, TO_THREE, put
from tests.bench.lines import Asked, asked
from tests.bench.pairs import Leg, Took, costing, interleaved, leg_rows, ratio_row
from tools import swift

FILE_BYTES, ROUNDS = 1 << 30, 3
SMALL_BYTES, SMALL_FILE_BYTES, SMALL_MANY, SMALL_ROUNDS = 64 << 10, 32 << 20, 16, 3
TIMES_MIN = 2.5
SWIFT, GOAL_NAME = "Swift, three replicas", "ingest to three / Swift, three replicas"


async def rows(say: Say) -> AsyncIterator[Row]:
    if why := swift.missing():
        yield not_run(GOAL_NAME, "", why, goal=Goal(TIMES_MIN, most=False))
        return
    async with AsyncExitStack() as stack:
        folder = await stack.enter_async_context(bench_folder())
        container = await stack.enter_async_context(_swift(folder))
        client = await stack.enter_async_context(asked("tests.bench.swift_client"))
        nodes = await stack.enter_async_context(fleet(folder, NODES))
        sending = await stack.enter_async_context(sender(nodes))
        noise = payload.noise_file(folder / "noise", FILE_BYTES)
        how = f"{FILE_BYTES >> 20} MiB in pieces of {CHUNK_BYTES >> 20} MiB, {MANY} at once"
        legs = [
            Leg(TO_THREE, f"{how}; sealed, mTLS", partial(put, nodes, sending, noise, NODES)),
            _leg(folder, container, client, noise, f"{how}; plain HTTP, not encrypted"),
        ]
        runs = await interleaved(legs, ROUNDS, say)
        yield ratio_row(runs, TO_THREE, SWIFT, TIMES_MIN)
        for found in leg_rows(runs, legs):
            yield found
        say(f"puts of {SMALL_BYTES >> 10} KiB")
        small = payload.noise_file(folder / "small", SMALL_FILE_BYTES)
        async for found in _small(container, client, sending, small):
            yield found


def _leg(folder: Path, container: str, client: Asked, file: Path, how: str) -> Leg:
    async def work() -> float:
        words = {"container": container, "file": str(file), "object_bytes": CHUNK_BYTES}
        return float((await client.ask("puts", **words, many=MANY))["took_s"])

    async def run() -> Took:
        return await costing([client.pid, *_pids(folder)], file.stat().st_size, work)

    async def tidy() -> None:
        words = {"container": container, "file": str(file), "object_bytes": CHUNK_BYTES}
        await client.ask("deletes", **words)

    return Leg(SWIFT, how, run, tidy)


async def _small(container: str, client: Asked, sending: Asked, file: Path) -> AsyncIterator[Row]:
    """Each a chunk, or an object, of its own: puts a second."""
    count = SMALL_FILE_BYTES // SMALL_BYTES
    words = {"container": container, "file": str(file), "object_bytes": SMALL_BYTES}
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(SMALL_ROUNDS):
        found = await sending.ask(
            "put", file=str(file), copies=NODES, chunk_bytes=SMALL_BYTES, many=SMALL_MANY
        )
        ours.append(count / found["took_s"])
        found = await client.ask("puts", **words, many=SMALL_MANY)
        theirs.append(count / found["took_s"])
    how = f"{count} of {SMALL_BYTES >> 10} KiB, {SMALL_MANY} at once, three copies"
    yield row("64 KiB puts, ours", ours, "/s", f"{how}; each a chunk", more_is_better=True)
    yield row("64 KiB puts, Swift", theirs, "/s", f"{how}; each an object", more_is_better=True)


@asynccontextmanager
async def _swift(folder: Path) -> AsyncIterator[str]:
    home = folder / "swift"
    container = await asyncio.to_thread(swift.up, home)
    try:
        yield container
    finally:
        await asyncio.to_thread(swift.down, home)


def _pids(folder: Path) -> list[int]:
    """Its servers, and the workers that they have."""
    noted = json.loads((folder / "swift" / swift.STATE).read_text())["pids"]
    of = [psutil.Process(pid) for pid in noted]
    return [p.pid for one in of for p in (one, *one.children(recursive=True))]
