"""Jobs of real clusters through whatever happens to nodes and links in their middle: they end, and
what `mcctl get` brings back is what an independent count of the source says, byte for byte.
"""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcctl.dev.demo_data import TrainingSet, digests, make
from tests.live.cluster import MCCTL, Cluster, Home, until

MIB, RATE = 48, "12M"  # Four seconds at the least, so that there is a middle.
DONE_PARTLY = 6  # Some records were put aside, as they have to be.
ENDS_S = 150.0
ROUNDS = int(os.environ.get("MC_ROUNDS", "3"))


@dataclass
class Stage:
    """A cluster, a training set, and how to break things."""

    cluster: Cluster
    made: TrainingSet
    folder: Path
    jobs: int = 0

    @property
    def context(self) -> tuple[str, str]:
        return "--context", str(self.cluster.described["context"])

    def names(self, cloud: str = "") -> list[str]:
        names = [str(node["name"]) for node in self.cluster.dev("status")["nodes"]]
        return sorted(name for name in names if name.startswith(cloud))

    def job(self, name: str) -> dict[str, object]:
        found = self.cluster.home.json("jobs", *self.context)
        return next((job for job in found if job["dataset"] == name), {})

    def steward(self, job: str) -> str:
        return str(self.cluster.home.json("job", "show", job, *self.context)["steward"])

    async def do(self, *words: str) -> None:
        await asyncio.to_thread(self.cluster.dev, *words)

    async def kill(self, *names: str) -> None:
        for name in names:
            await self.do("kill", name)

    async def start(self, *names: str) -> None:
        for name in names:
            await self.do("start", name)


Fault = Callable[[Stage, str], Awaitable[None]]


async def a_worker_is_killed(stage: Stage, job: str) -> None:
    steward = stage.steward(job)
    victim = next(name for name in reversed(stage.names()) if name != steward)
    await stage.kill(victim)
    await stage.start(victim)


async def the_steward_is_killed(stage: Stage, job: str) -> None:
    steward = stage.steward(job)
    await stage.kill(steward)
    await until(lambda: stage.steward(job) != steward, 30)
    await stage.start(steward)


async def the_steward_stands_still_for_30_s(stage: Stage, job: str) -> None:
    steward = stage.steward(job)
    await stage.do("pause", steward)
    await asyncio.sleep(30)  # That is the fault.
    await stage.do("resume", steward)


async def all_are_killed_at_once_and_start_again(stage: Stage, job: str) -> None:
    names = stage.names()
    await stage.kill(*names)
    await stage.start(*names)


async def a_cloud_is_cut_off_and_comes_back(stage: Stage, job: str) -> None:
    await stage.do("cut", "azure")
    await asyncio.sleep(10)  # The cut is seen, and work goes on around it.
    await stage.do("heal")


async def most_of_a_cloud_dies_and_stays_away(stage: Stage, job: str) -> None:
    """Two thirds of it, or one of two; they come back when the job has ended."""
    names = stage.names("gcp")
    await stage.kill(*names[: max(1, 2 * len(names) // 3)])


async def a_whole_cloud_dies_and_stays_away(stage: Stage, job: str) -> None:
    """As many nodes at once as the policy promises to bear: all of one cloud."""
    await stage.kill(*stage.names("azure"))


async def through(stage: Stage, fault: Fault) -> None:
    """One job, the fault in its middle, and what is left of it read back."""
    stage.jobs += 1
    name = f"set-{stage.jobs}"
    source = str(stage.made.folder), "--pipeline", str(stage.made.pipeline), "--name", name
    laptop = await _mcctl(stage, "submit", *source, "--wait", "--bwlimit", RATE)
    try:
        await until(lambda: stage.job(name).get("state") == "running", 60)
        job = str(stage.job(name)["job"])
        await fault(stage, job)
        async with asyncio.timeout(ENDS_S):
            code = await laptop.wait()
            while code not in (0, DONE_PARTLY):  # The node that it spoke to is gone: it resumes.
                laptop = await _mcctl(stage, "submit", "--resume", job, "--wait")
                code = await laptop.wait()
    finally:
        if laptop.returncode is None:
            laptop.kill()
            await laptop.wait()
    await read_back(stage, name, job)
    away = [n["name"] for n in stage.cluster.dev("status")["nodes"] if n["state"] != "running"]
    await stage.start(*map(str, away))


async def read_back(stage: Stage, name: str, job: str) -> None:
    shown = stage.cluster.home.json("job", "show", job, *stage.context)
    assert shown["state"] == "done", shown
    assert shown["records_in"] == stage.made.records + stage.made.bad
    with tempfile.TemporaryDirectory(dir=stage.folder) as folder:
        got = await _mcctl(stage, "get", f"{name}@1", f"{folder}/got")
        assert await got.wait() == 0
        assert digests(Path(folder) / "got") == stage.made.expected


async def _mcctl(stage: Stage, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *MCCTL,
        *words,
        *stage.context,
        env=stage.cluster.home.env,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


def staged(nodes: int) -> Iterator[Stage]:
    name = f"proof-{nodes}"
    with tempfile.TemporaryDirectory(prefix="mc-") as folder:
        home = Home(Path(folder))
        up = home.json("dev", "up", "--nodes", str(nodes), "--no-wan", "--name", name)
        try:
            data = Path(folder) / "made"
            data.mkdir()
            yield Stage(Cluster(home, name, up), make(data, MIB), Path(folder))
        finally:
            home.run("dev", "down", "--name", name)


@pytest.fixture(scope="module")
def six_nodes() -> Iterator[Stage]:
    yield from staged(6)


@pytest.fixture(scope="module")
def twelve_nodes() -> Iterator[Stage]:
    yield from staged(12)


FAULTS = (
    a_worker_is_killed,
    the_steward_is_killed,
    the_steward_stands_still_for_30_s,
    all_are_killed_at_once_and_start_again,
    a_cloud_is_cut_off_and_comes_back,
    most_of_a_cloud_dies_and_stays_away,
    a_whole_cloud_dies_and_stays_away,
)


@pytest.mark.timeout(300)
async def test_a_job_ends_with_every_record_though_its_steward_is_killed(six_nodes: Stage) -> None:
    await through(six_nodes, the_steward_is_killed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_a_job_on_six_nodes_ends_with_every_record(six_nodes: Stage, fault: Fault) -> None:
    for _ in range(ROUNDS):
        await through(six_nodes, fault)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_a_job_on_twelve_nodes_ends_with_every_record(
    twelve_nodes: Stage, fault: Fault
) -> None:
    for _ in range(ROUNDS):
        await through(twelve_nodes, fault)
