"""HashiCorp Serf beside the watch, where it is installed: the same faults, its `lan` profile."""

import asyncio
import json
import shutil
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator

from tests.bench.frame import Row, Say, not_run, row

AGENTS, KILLS, STOPS, REST_S = 6, 4, 2, 20
RUN_S_MAX = 300.0
NEEDED = {"serf": "serf", "ip": "iproute2", "unshare": "util-linux"}


async def rows(say: Say) -> AsyncIterator[Row]:
    missing = [package for tool, package in NEEDED.items() if not shutil.which(tool)]
    if missing:
        yield not_run("Serf", "", f"apt-get install {' '.join(missing)}")
        return
    say(f"{AGENTS} agents: rest, {KILLS} kills, {STOPS} stops")
    process = await asyncio.create_subprocess_exec(
        *("unshare", "--map-root-user", "--net", sys.executable, "-m", "tests.bench.agents"),
        *map(str, (AGENTS, KILLS, STOPS, REST_S)),
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        async with asyncio.timeout(RUN_S_MAX):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        why = (err.decode().strip().splitlines() or ["no reason given"])[-1]
        yield not_run("Serf", "", f"its agents did not run in a network of their own: {why}")
        return
    found = json.loads(out)
    how = f"`serf agent -profile lan`, each of {AGENTS}, {REST_S} s"
    yield row("Serf at rest, processor", found["cpu_percent"], "% of a core", how)
    sent = f"{how}; all that its network carries, UDP, plain"
    yield row("Serf at rest, bytes", [found["bytes_per_s"]], "B/s", sent, at="only")
    yield row("Serf at rest, packets", [found["packets_per_s"]], "/s", sent, at="only")
    yield row("Serf at rest, RSS", found["rss_mib"], "MiB", how)
    yield row("Serf at rest, PSS", found["pss_mib"], "MiB", how)
    how = f"kill -9 to the last of the others' EventMemberFailed, {KILLS} times"
    yield row("Serf: killed, all others know it failed", found["killed_s"], "s", how)
    how = f"SIGSTOP to the last of the others' EventMemberFailed, {STOPS} times"
    yield row("Serf: silent, all others know it failed", found["silent_s"], "s", how)
