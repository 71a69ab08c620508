"""The demonstration's acts about a job: a training set goes in, a node is lost, everything is read
back. Commands are run as their user types them.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mcctl import show
from mcctl.commands import TABLE
from mcctl.dev import acts, ask
from mcctl.dev.demo_data import TrainingSet, digests, make
from mcctl.dev.stage import Stage
from mcctl.options import options
from mcctl.sizes import human
from multicloud.errors import McError
from multicloud.v1 import admin_pb2, job_pb2
from multicloud.v1.job_pb2_grpc import JobServiceStub

NAME = "demo"
EXIT_PARTLY = 6
MIB = 1 << 20
PROVE_S = 60.0
COPIES = 3
RESTORE_S_MAX, LOOK_EVERY_S = 60.0, 0.5
WAN_RATIO_MAX = 1.02


@dataclass(slots=True)
class Work:
    """One job of the demonstration, and what came of it."""

    folder: Path
    mib: int
    made: TrainingSet | None = None
    receipt: dict[str, Any] = field(default_factory=dict)

    async def ingest(self, stage: Stage) -> None:
        show.note(f"A training set of {self.mib} MiB goes through a pipeline, into three copies:")
        made = self.made = await asyncio.to_thread(make, self.folder, self.mib)
        begun_s = time.monotonic()
        code = await typed(
            *("submit", str(made.folder), "--name", NAME, "--pipeline", str(made.pipeline)),
            *("--wait", "-y", "--context", stage.described["context"]),
        )
        took_s = time.monotonic() - begun_s
        job = (await self._asked(stage, "jobs"))[-1]
        self.receipt = await self._asked(stage, "receipt", job["job"])
        await typed("receipt", job["job"], "--context", stage.described["context"])
        rate = made.bytes / MIB / took_s
        stage.checks.figure("ingest_mib_s", rate)
        said = f"{human(made.bytes)} are a dataset after {took_s:.1f} s ({rate:.1f} MiB/s)"
        done = code == EXIT_PARTLY and job["state"] == "done"
        stage.checks.add("job", done, said if done else f"exit code {code}: {job['error']}", took_s)
        self._sums(stage, made)
        self._copies(stage)

    def _sums(self, stage: Stage, made: TrainingSet) -> None:
        """Nothing is skipped or lost in silence: what went in is what came out, and the rest."""
        found = self.receipt
        wanted = (len(made.expected), made.records + made.bad, made.records - made.filtered)
        came = (found["objects_ingested"], found["records_in"], found["records_out"])
        ok = came == wanted and found["records_quarantined"] == made.bad
        said = (
            f"{came[0]} files, {came[1]} records in, {came[2]} out, {made.filtered} filtered, "
            f"{found['records_quarantined']} quarantined"
        )
        stage.checks.add("sums", ok, said if ok else f"{said}; {wanted} and {made.bad} were due")

    def _copies(self, stage: Stage) -> None:
        found, replicas = self.receipt, self.receipt["replicas"]
        stage.checks.figure("chunks_safe", found["chunks_safe"])
        clouds = [{copy["cloud"] for copy in chunk["copies"]} for chunk in replicas]
        ok = 0 < len(replicas) == found["chunks"] == found["chunks_safe"] and all(
            len(chunk["copies"]) == len({copy["node"] for copy in chunk["copies"]}) == 3
            and len(there) > 1
            for chunk, there in zip(replicas, clouds, strict=True)
        )
        said = f"{found['chunks_safe']} of {found['chunks']} chunks have three copies in two clouds"
        stage.checks.add("copies", ok, said)
        once = sum(
            chunk["bytes"] * (len(there) - 1) for chunk, there in zip(replicas, clouds, strict=True)
        )
        crossed = sum(edge["bytes"] for edge in found["wan_bytes"])
        doubled = found["wan_bytes_doubled"]
        ratio = (crossed - doubled) / max(1, once)
        stage.checks.figure("wan_ratio", ratio)
        stage.checks.figure("wan_bytes_doubled", doubled)
        said = f"{human(crossed)} crossed borders between clouds"
        said += f", {human(doubled)} of it by tasks done twice" if doubled else ""
        said += f": {ratio:.3f} of once into each"
        stage.checks.add("borders", ratio <= WAN_RATIO_MAX, f"{said} (goal {WAN_RATIO_MAX})")

    async def lose(self, stage: Stage) -> None:
        """A node is lost: others know, and what it held is made anew."""
        victim = self._victim(stage)
        stage.checks.figure("rss_mib_max", await _rss_mib_max(stage))
        begun_s = await acts.down(stage, victim)
        try:
            await self._restored(stage, victim, begun_s)
            if "get" in TABLE:
                await self._read_back(stage)
        finally:
            await acts.back(stage, victim)

    def _victim(self, stage: Stage) -> str:
        """Whoever holds most of it, and is not the node that answers us."""
        held = Counter(c["node"] for chunk in self.receipt["replicas"] for c in chunk["copies"])
        return max(stage.others(stage.client.node.name), key=lambda name: held[name])

    async def _restored(self, stage: Stage, victim: str, begun_s: float) -> None:
        """Every chunk has all its copies again, each read whole to prove it."""
        show.note("What it held is made anew from the copies that are left:")
        await stage.known(stage.others(victim), "node.gone", victim, begun_s)
        gone_s = time.monotonic()
        least = await self._least_good(stage)
        while least < COPIES and time.monotonic() - gone_s < RESTORE_S_MAX:
            await asyncio.sleep(LOOK_EVERY_S)
            least = await self._least_good(stage)
        took_s = time.monotonic() - gone_s
        stage.checks.figure("repair_s", took_s)
        copies = [chunk["copies"] for chunk in self.receipt["replicas"]]
        held = sum(victim in {copy["node"] for copy in each} for each in copies)
        said = f"{held} of {len(copies)} chunks were there; each has {least} good copies"
        stage.checks.add("repaired", least >= COPIES, f"{said} after {took_s:.1f} s", took_s)

    async def _least_good(self, stage: Stage) -> int:
        """Of the chunk that has the fewest good copies."""
        good = []
        for chunk in self.receipt["replicas"]:
            request = admin_pb2.VerifyChunkRequest(chunk_id=bytes.fromhex(chunk["id"]))
            answer = await stage.client.admin.VerifyChunk(request, timeout=PROVE_S)
            good.append(sum(c.state == admin_pb2.COPY_STATE_GOOD for c in answer.copies))
        return min(good, default=0)

    async def _read_back(self, stage: Stage) -> None:
        assert self.made is not None
        show.note("Everything is read back, while that node is still away:")
        target = self.folder / "restored"
        begun_s = time.monotonic()
        context = stage.described["context"]
        code = await typed("get", f"{NAME}@1", str(target), "--context", context)
        took_s = time.monotonic() - begun_s
        found = await asyncio.to_thread(digests, target) if target.exists() else {}
        size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
        rate = size / MIB / took_s
        same = code == 0 and found == self.made.expected
        stage.checks.figure("read_mib_s", rate)
        stage.checks.figure("bytes_identical", same)
        said = f"{len(found)} files, {human(size)}, {rate:.1f} MiB/s"
        told = "each the same to the last byte" if same else "and they differ"
        stage.checks.add("bytes identical", same, f"{said}: {told}", took_s)

    async def _asked(self, stage: Stage, *words: str) -> Any:
        code, value = await answered(*words, "--context", stage.described["context"])
        if code not in (0, EXIT_PARTLY):
            raise McError("FAILED", f"`mcctl {' '.join(words)}` ended with code {code}")
        return value


async def jobs_are_served(stage: Stage) -> bool:
    try:
        await stage.client.stub(JobServiceStub).ListJobs(job_pb2.ListJobsRequest(page_size=1))
    except McError as error:
        if error.reason != "UNSUPPORTED":
            raise
        return False
    return True


@asynccontextmanager
async def working(mib: int) -> AsyncIterator[Work]:
    with TemporaryDirectory(prefix="mc-demo-") as folder:
        yield Work(Path(folder), mib)


async def typed(*words: str) -> int:
    """A command as a user types it, who watches; its data is no data of ours."""
    show.note(f"$ mcctl {' '.join(words)}")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mcctl", *words, *(["-q"] if options().quiet else [])),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL if options().quiet else sys.stderr,
        env=_env(),
    )
    return await process.wait()


async def answered(*words: str) -> tuple[int, Any]:
    """A command as a script types it: its exit code and its data."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mcctl", *words, "-o", "json", "-q"),
        stdout=asyncio.subprocess.PIPE,
        env=_env(),
    )
    out, _ = await process.communicate()
    return process.returncode or 0, json.loads(out or b"[]")


def _env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": ask.python_path()}


async def _rss_mib_max(stage: Stage) -> float:
    """The largest daemon at its largest, or now where the system does not say."""
    described = await ask.ask(stage.folder, {"do": "status"}, show.note)
    pids = [node["pid"] for node in described["nodes"] if node["pid"]]
    return max([await asyncio.to_thread(_peak_mib, pid) for pid in pids], default=0.0)


def _peak_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # Another system; the figure is left out there.
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
