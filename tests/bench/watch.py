"""What the watch costs and what it is worth: its rest, its answers, and how soon everybody knows
that a node was killed or has fallen silent.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from itertools import cycle, islice

from multicloud.client import Client
from tests.bench import answer, cost, traffic
from tests.bench.cluster import DevCluster, dev_cluster
from tests.bench.frame import Goal, Row, Say, not_run, row
from tests.bench.sight import Seen, agreed, all_seen, last_s, told, until_seen

SIX, TWELVE = 6, 12
KILLS, STOPS, PAUSES = 20, 10, 10
SETTLE_S, REST_S = 12.0, 20.0
DEAD_WITHIN_S = 15.0
PAUSE_S, AFTER_PAUSE_S = 2.5, 3.0
DOWN, DEAD = "node.down", "node.dead"
CPU_GOAL, BYTES_GOAL = Goal(1.0), Goal(12_000.0)
DOWN_GOAL, DEAD_GOAL, FALSE_GOAL = Goal(1.0), Goal(5.0), Goal(0.0)


async def rows(say: Say) -> AsyncIterator[Row]:
    async with dev_cluster(SIX) as cluster, cluster.client() as client:
        await agreed(cluster, client, say)
        say(f"{SIX} nodes at rest")
        async for found in _rest(cluster, client):
            yield found
        say("the watch's answers, at rest and while all cores are busy")
        async for found in answer.rows(cluster):
            yield found
        for part in (_kills, _stops, _pauses):
            say(part.__doc__ or part.__name__)
            async for found in part(cluster, client, say):
                yield found
    say(f"{TWELVE} nodes at rest")
    async with dev_cluster(TWELVE) as cluster, cluster.client() as client:
        await agreed(cluster, client, say)
        async for found in _rest(cluster, client):
            yield found


async def _rest(cluster: DevCluster, client: Client) -> AsyncIterator[Row]:
    await asyncio.sleep(SETTLE_S)
    count = len(cluster.names)
    used, rates = await asyncio.gather(
        cost.cpu_percent(cluster.pids, REST_S), traffic.rates(cluster.pids, REST_S)
    )
    held = [cost.holding(pid) for pid in cluster.pids]
    how, of = f"each of {count} nodes, {REST_S:g} s", f"node of {count} at rest"
    yield row(f"{of}, processor", used, "% of a core", how, goal=CPU_GOAL)
    sent = f"{how}; sent on all its connections, TLS included"
    yield row(f"{of}, bytes", [r.bytes_per_s for r in rates], "B/s", sent, goal=BYTES_GOAL)
    segments = [r.segments_per_s for r in rates]
    yield row(f"{of}, messages", segments, "/s", f"{how}; segments with data that it sends")
    yield row(f"{of}, RSS", [h.rss_mib for h in held], "MiB", how)
    yield row(f"{of}, PSS", [h.pss_mib for h in held], "MiB", how)
    for found in await told(cluster, client):
        yield found


def _others(cluster: DevCluster, victim: str) -> list[str]:
    return [name for name in cluster.names if name != victim]


async def _kills(cluster: DevCluster, client: Client, say: Say) -> AsyncIterator[Row]:
    """kill -9, and when the last of the others knows."""
    trials = []
    for victim in islice(cycle(cluster.names), KILLS):
        await agreed(cluster, client, say)
        others, begun_s = _others(cluster, victim), time.time()
        os.kill(cluster.node(victim)["pid"], signal.SIGKILL)
        found = await until_seen(client, others, victim, DEAD, begun_s, DEAD_WITHIN_S)
        trials.append((found, begun_s))
        await cluster.dev("start", victim)
        await cluster.look_again()
    how = f"kill -9 on one of {SIX} nodes to the event on the last of the others, {KILLS} times"
    for found_row in _knowing("killed", DOWN, trials, how, DOWN_GOAL):
        yield found_row
    for found_row in _knowing("killed", DEAD, trials, how, DEAD_GOAL):
        yield found_row


async def _stops(cluster: DevCluster, client: Client, say: Say) -> AsyncIterator[Row]:
    """SIGSTOP for good, and when the last of the others knows."""
    trials = []
    for victim in islice(cycle(cluster.names), STOPS):
        await agreed(cluster, client, say)
        others, begun_s = _others(cluster, victim), time.time()
        os.kill(cluster.node(victim)["pid"], signal.SIGSTOP)
        try:
            found = await until_seen(client, others, victim, DEAD, begun_s, DEAD_WITHIN_S)
        finally:
            os.kill(cluster.node(victim)["pid"], signal.SIGCONT)
        trials.append((found, begun_s))
    how = f"SIGSTOP on one of {SIX} nodes to the event on the last of the others, {STOPS} times"
    for found_row in _knowing("silent", DEAD, trials, how, DEAD_GOAL):
        yield found_row


def _knowing(
    fate: str, what: str, trials: Sequence[tuple[list[Seen], float]], how: str, goal: Goal
) -> list[Row]:
    took_s = [last_s(found, what, SIX - 1, begun_s) for found, begun_s in trials]
    known_s = [s for s in took_s if s is not None]
    name = f"{fate}, all others know it {what.removeprefix('node.')}"
    if missing := len(took_s) - len(known_s):
        how += f"; in {missing} of them not all knew within {DEAD_WITHIN_S:g} s"
    if not known_s:
        return [not_run(name, "s", how, goal=goal)]
    return [
        row(name, known_s, "s", how),
        row(f"{name}, p99", known_s, "s", how, at="p99", goal=goal),
    ]


async def _pauses(cluster: DevCluster, client: Client, say: Say) -> AsyncIterator[Row]:
    """A pause of 2.5 s, which is no death."""
    false, suspected = [], []
    for victim in islice(cycle(cluster.names), PAUSES):
        await agreed(cluster, client, say)
        pid, begun_s = cluster.node(victim)["pid"], time.time()
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(PAUSE_S)
        os.kill(pid, signal.SIGCONT)
        await asyncio.sleep(AFTER_PAUSE_S)
        found = await all_seen(client, cluster.names, begun_s)
        false.append(float(len({s.subject for s in found if s.what in (DOWN, DEAD)})))
        suspected.append(float(len({s.observer for s in found if s.what == "node.suspect"})))
    how = f"SIGSTOP for {PAUSE_S:g} s, {PAUSES} times: nodes that anybody called down or dead"
    yield row(f"false deaths in {PAUSES} pauses", [sum(false)], "", how, at="only", goal=FALSE_GOAL)
    yield row(
        "nodes that suspect a paused one", suspected, "", "softly: it is not chosen meanwhile"
    )
