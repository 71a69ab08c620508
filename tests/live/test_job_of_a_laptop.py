"""A laptop that dies in the middle of its job: it waits, is resumed, and nothing is missing."""

import asyncio
from pathlib import Path

import pytest

from mcctl.dev.demo_data import digests, make
from tests.live.cluster import MCCTL, Cluster, Home, until

THREE = ("--nodes", "3", "--clouds", "3", "--no-wan", "--name", "three")
CONTEXT = ("--context", "dev-three")
MIB = 64


@pytest.mark.timeout(180)
async def test_a_job_waits_for_its_laptop_and_ends_with_every_byte(
    home: Home, tmp_path: Path
) -> None:
    Cluster(home, "three", home.json("dev", "up", *THREE))
    made = make(tmp_path, MIB)
    submit = ("submit", str(made.folder), "--name", "big", "--pipeline", str(made.pipeline))
    laptop = await asyncio.create_subprocess_exec(
        *(*MCCTL, *submit, "--wait", "--bwlimit", "8M", *CONTEXT),
        env=home.env,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )

    def state() -> str:
        jobs = home.json("jobs", *CONTEXT)
        return str(jobs[0]["state"]) if jobs else ""

    try:
        await until(lambda: state() == "running", 30)
    finally:
        laptop.kill()
        await laptop.wait()
    await until(lambda: state() == "waiting", 40)
    (job,) = home.json("jobs", *CONTEXT)
    assert "nobody serves" in " ".join(job["blocked"])
    done = home.json("submit", "--resume", job["job"], "--wait", *CONTEXT, code=6)
    assert done["state"] == "done"
    assert done["records_in"] == made.records + made.bad
    assert home.run("get", "big@1", str(tmp_path / "restored"), *CONTEXT).returncode == 0
    assert digests(tmp_path / "restored") == made.expected
