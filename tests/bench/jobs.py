"""Whole jobs as users run them: `mcctl submit` into three safe copies on six nodes, all beside one
another on this machine: raw bytes, records to Parquet, tiny files, and what changed since.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench import cost, payload
from tests.bench.cluster import DevCluster, dev_cluster
from tests.bench.fleet import bench_folder, fleet, sender
from tests.bench.frame import Goal, Row, Say
from tests.bench.ingest import put
from tests.bench.peaks import peaks

MIB = 1 << 20
SIZE_BYTES = 1 << 30
TINY, TINY_BYTES = 100_000, 1 << 10
SMALL, SMALL_BYTES = 10_000, 64 << 10
FILES_PER_FOLDER = 1000
RAW_SHARE_MIN, BORDER_MAX = 0.8, 1.02
RSS_MIB_MAX, COMMAND_RSS_MIB_MAX = 256.0, 128.0
JOB_S_MAX = 900.0  # On a machine where others are at work, too.
CLEAN = """
input = "jsonl"
[[step]]
use = "validate.schema"
fields = { id = "int64", text = "string" }
on_bad = "quarantine"
[[step]]
use = "transform.sql"
query = "SELECT id, lower(text) AS text FROM chunk WHERE length(text) > 10"
[output]
format = "parquet"
"""


async def rows(say: Say) -> AsyncIterator[Row]:
    say(f"{SIZE_BYTES >> 20} MiB of noise by the data plane alone, for comparison")
    wire_mib_s = await _ingested_mib_s()
    async with dev_cluster(6, "--no-wan") as cluster, peaks(cluster.pids) as held:
        folder = cluster.home.folder
        say(f"{SIZE_BYTES >> 20} MiB of noise, raw")
        raw = _folder(folder, "raw")
        payload.noise_file(raw / "noise", SIZE_BYTES)
        first = await _job(cluster, raw, "raw")
        for row in _rates("raw", first, SIZE_BYTES):
            yield row
        for row in _beside_the_wire(first, wire_mib_s):
            yield row
        for row in _borders(first):
            yield row
        say("the same again, one byte of it changed")
        with (raw / "noise").open("r+b") as file:
            file.seek(SIZE_BYTES // 2)
            file.write(bytes([file.read(1)[0] ^ 1]))
        again = await _job(cluster, raw, "raw")
        for row in _changed(again):
            yield row
        say(f"{SIZE_BYTES >> 20} MiB of jsonl, through validate and SQL to Parquet")
        lines, pipeline = _folder(folder, "lines"), folder / "clean.toml"
        text = payload.text(SIZE_BYTES)
        (lines / "lines.jsonl").write_bytes(text[: text.rindex(b"\n") + 1])
        del text
        pipeline.write_text(CLEAN)
        made = await _job(cluster, lines, "lines", "--pipeline", str(pipeline))
        for row in _rates("jsonl to Parquet", made, SIZE_BYTES):
            yield row
        for name, count, size, least in (
            ("1 KiB", TINY, TINY_BYTES, 5000),
            ("64 KiB", SMALL, SMALL_BYTES, 2250),
        ):
            say(f"{count} files of {name}")
            many = _many(_folder(folder, f"many-{size}"), count, size)
            found = await _job(cluster, many, f"many-{size}")
            for row in _files(f"files of {name}", found, count, least):
                yield row
            words = ("get", f"many-{size}", str(folder / f"back-{size}"))
            took_s, _ = await cluster.run(*words, within_s=JOB_S_MAX)
            how = "`mcctl get`: every file written, compared, and given its name"
            yield _one(f"files of {name}: got back", count / took_s, "files/s", how, more=True)
        for who, mib, most in (
            *(
                (f"{n['name']}, peak memory", cost.peak_mib(n["pid"]), RSS_MIB_MAX)
                for n in cluster.described["nodes"]
            ),
            ("a worker process, peak memory", held.worker_mib, None),
            ("mcctl, peak memory", held.command_mib, COMMAND_RSS_MIB_MAX),
        ):
            how = "VmHWM of the process, during all of this"
            yield Row(who, "MiB", how, mib, at="max", goal=Goal(most) if most else None)


def _folder(home: Path, name: str) -> Path:
    (home / name).mkdir()
    return home / name


def _many(folder: Path, count: int, size_bytes: int) -> Path:
    for number in range(count):
        inner = folder / f"{number // FILES_PER_FOLDER:03}"
        inner.mkdir(exist_ok=True)
        (inner / f"{number:06}").write_bytes(payload.noise(size_bytes))
    return folder


async def _job(cluster: DevCluster, source: Path, name: str, *more: str) -> Mapping[str, Any]:
    """What its receipt says, with seconds as the user waits and what all daemons took of the
    processors.
    """
    before_s = sum(map(cost.cpu_s, cluster.pids))
    words = ("submit", str(source), "--name", name, "--wait", "-y", *more)
    took_s, said = await cluster.run(*words, within_s=JOB_S_MAX)
    cpu_s = sum(map(cost.cpu_s, cluster.pids)) - before_s
    receipt: dict[str, Any] = json.loads((await cluster.run("receipt", json.loads(said)["job"]))[1])
    return {**receipt, "took_s": took_s, "cpu_s": cpu_s}


def _rates(what: str, job: Mapping[str, Any], size_bytes: int) -> Sequence[Row]:
    seconds, how = job["seconds"], "from its decision to three safe copies and its manifest"
    whole = "the command: counting, planning, deciding and waiting included"
    cpu = "of the six daemons, what they take when idle included; per GiB of the source"
    return [
        _one(f"{what}: job", size_bytes / MIB / seconds, "MiB/s", how, more=True),
        _one(
            f"{what}: `mcctl submit`", size_bytes / MIB / job["took_s"], "MiB/s", whole, more=True
        ),
        _one(f"{what}: processor", job["cpu_s"] / (size_bytes / (1 << 30)), "s/GiB", cpu),
    ]


async def _ingested_mib_s() -> float:
    """What one sealer brings to three nodes; the second time, when nothing is cold."""
    async with bench_folder() as folder:
        noise = payload.noise_file(folder / "noise", SIZE_BYTES)
        async with fleet(folder, 3) as nodes, sender(nodes) as sending:
            await put(nodes, sending, noise, 3)
            return (await put(nodes, sending, noise, 3)).mib_s


def _beside_the_wire(job: Mapping[str, Any], wire_mib_s: float) -> Sequence[Row]:
    alone = "one sealer, three nodes, no laptop before them; taken just before"
    share = SIZE_BYTES / MIB / job["seconds"] / wire_mib_s
    how, goal = "of the figure above", Goal(RAW_SHARE_MIN, most=False)
    return [
        _one("data plane alone, to three", wire_mib_s, "MiB/s", alone, more=True),
        Row("raw / data plane alone", "", how, share, at="only", goal=goal, more_is_better=True),
    ]


def _borders(job: Mapping[str, Any]) -> Sequence[Row]:
    """What went into each cloud from others, beside one sealed copy of all."""
    into: dict[str, int] = {}
    for edge in job["wan_bytes"]:
        into[edge["to"]] = into.get(edge["to"], 0) + edge["bytes"]
    worst = max(into.values(), default=0) / max(1, job["bytes_sealed"])
    how = "bytes over borders into the cloud that got most, by the receipt"
    goal = Goal(BORDER_MAX)
    return [Row("into a remote cloud / sealed", "", how, worst, at="max", goal=goal)]


def _changed(job: Mapping[str, Any]) -> Sequence[Row]:
    how = "the same file, one byte of it changed: its second version"
    return [
        _one("a byte changed: read", job["bytes_in"] / MIB, "MiB", how),
        _one("a byte changed: sealed and sent", job["bytes_sent"] / MIB, "MiB", how),
        _one("a byte changed: job", job["seconds"], "s", how),
    ]


def _files(what: str, job: Mapping[str, Any], count: int, least: int) -> Sequence[Row]:
    goal = Goal(least, most=False)
    how = "from its decision to three safe copies and its manifest"
    rate = count / job["seconds"]
    cpu = "of the six daemons, what they take when idle included"
    return [
        Row(what, "files/s", how, rate, at="only", goal=goal, more_is_better=True),
        _one(f"{what}: processor", 1e6 * job["cpu_s"] / count, "µs a file", cpu),
    ]


def _one(what: str, value: float, unit: str, how: str, *, more: bool = False) -> Row:
    return Row(what, unit, how, value, at="only", more_is_better=more)
