"""How long things take to be there, and what they cost while nothing happens: the daemon, the
commands, a dev cluster of six and of twenty.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from tests.bench import cost
from tests.bench.cluster import dev_cluster, timed
from tests.bench.daemon import running, world
from tests.bench.frame import Broken, Goal, Row, Say, not_run, row
from tests.live.cluster import Home

RUNS = 10
CLUSTER_RUNS = 3
SETTLE_S, REST_S = 10.0, 30.0
DAEMON_GOAL, HELP_GOAL, NODES_GOAL = Goal(1.0), Goal(0.3), Goal(0.7)
UP_GOAL = Goal(10.0)
SIX, TWENTY = 6, 20


async def rows(say: Say) -> AsyncIterator[Row]:
    async for found in _daemon(say):
        yield found
    async for found in _commands(say):
        yield found
    async for found in _six(say):
        yield found
    say("a cluster of twenty")
    what = f"dev up, {TWENTY} nodes"
    try:
        async with dev_cluster(TWENTY) as cluster:
            pass
    except Broken as late:  # Where others are at work it may not be ready in time.
        yield not_run(what, "s", str(late))
        return
    yield row(what, [cluster.up_s], "s", "until all have met", at="only")
    yield row(f"dev down, {TWENTY} nodes", [cluster.down_s], "s", "nothing is left", at="only")


async def _daemon(say: Say) -> AsyncIterator[Row]:
    say(f"a daemon, {RUNS} starts, then {REST_S:g} s of rest")
    async with world() as place:
        async with running(place):
            pass  # The first start fills the page cache and writes the byte code.
        ready_s, used_s = [], []
        for _ in range(RUNS):
            async with running(place) as daemon:
                ready_s.append(daemon.ready_s)
                used_s.append(cost.cpu_s(daemon.pid))
        how = "process start to READY=1 on systemd's socket; files in the page cache"
        yield row("daemon start to READY", ready_s, "s", how, goal=DAEMON_GOAL)
        how = "of the same starts: what it takes whoever else is at work"
        yield row("daemon start, processor time", used_s, "s", how)
        async with running(place) as daemon:
            await asyncio.sleep(SETTLE_S)
            (percent,) = await cost.cpu_percent([daemon.pid], REST_S)
            held = cost.holding(daemon.pid)
    after = f"{SETTLE_S + REST_S:g} s after the start, no peer"
    yield row("idle daemon, processor", [percent], "% of a core", f"over {REST_S:g} s", at="only")
    yield row("idle daemon, RSS", [held.rss_mib], "MiB", after, at="only")
    yield row("idle daemon, PSS", [held.pss_mib], "MiB", after, at="only")
    yield row("idle daemon, threads", [held.threads], "", after, at="only")
    yield row("idle daemon, descriptors", [held.files], "", after, at="only")


async def _commands(say: Say) -> AsyncIterator[Row]:
    say(f"commands, {RUNS} runs each")
    with tempfile.TemporaryDirectory(prefix="mcb-") as folder:
        home, how = Home(Path(folder)), "the whole process, files in the page cache"
        found_s = await _runs(home, "-m", "mcctl", "--help")
        yield row("`mcctl --help`", found_s, "s", how, goal=HELP_GOAL)
        found_s = await _runs(home, "-m", "nodeagent", "version")
        yield row("`nodeagentd version`", found_s, "s", how)
        found_s = await _runs(home, "-c", "pass")
        yield row("an empty Python", found_s, "s", "`python -c pass`: the machine's floor")


async def _runs(home: Home, *words: str) -> list[float]:
    found_s = []
    for _ in range(RUNS + 1):
        begun_s = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *words), env=home.env, stdout=asyncio.subprocess.DEVNULL
        )
        if await process.wait():
            raise Broken(f"python {' '.join(words)} failed")
        found_s.append(time.monotonic() - begun_s)
    return found_s[1:]


async def _six(say: Say) -> AsyncIterator[Row]:
    up_s, down_s = [], []
    say(f"a cluster of {SIX}, {CLUSTER_RUNS} times")
    for last in (*[False] * (CLUSTER_RUNS - 1), True):
        async with dev_cluster(SIX) as cluster:
            if last:
                how = f"on a dev cluster of {SIX}, round trips included"
                nodes_s = [(await timed(cluster.home, "nodes"))[0] for _ in range(RUNS + 1)][1:]
                yield row("`mcctl nodes`", nodes_s, "s", how, goal=NODES_GOAL)
        up_s.append(cluster.up_s)
        down_s.append(cluster.down_s)
    how = "`mcctl dev up`: identities, daemons, links, and all have met"
    yield row(f"dev up, {SIX} nodes", up_s, "s", how, goal=UP_GOAL)
    yield row(f"dev down, {SIX} nodes", down_s, "s", "no process, no folder, no context is left")
