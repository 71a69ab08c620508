"""A lost node's copies are made anew: how soon after the hold, and how fast beside the ingest."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from tests.bench import payload
from tests.bench.cluster import DevCluster, dev_cluster
from tests.bench.frame import Broken, Goal, Row, Say

SOURCE_BYTES = 1 << 30
SHARE_MIN, BEGIN_S_MAX = 0.5, 5.0
LOOKS, TAIL = 120, "5000"
MIB = 1 << 20


async def rows(say: Say) -> AsyncIterator[Row]:
    async with dev_cluster(6, "--no-wan") as cluster:
        source = cluster.home.folder / "source"
        source.mkdir()
        payload.noise_file(source / "noise", SOURCE_BYTES)
        say(f"{SOURCE_BYTES >> 20} MiB of noise, to three copies each")
        took_s, job = await cluster.run("submit", str(source), "--name", "kept", "--wait")
        ingest = SOURCE_BYTES / MIB / took_s
        receipt = json.loads((await cluster.run("receipt", json.loads(job)["job"]))[1])
        victim, lost = _victim(receipt["replicas"], cluster.names[0])
        say(f"{victim} is killed: {len(lost)} chunks, {sum(lost.values()) >> 20} MiB")
        await cluster.dev("kill", victim)
        begun_s, ended_s = await _restored(cluster, victim, set(lost))
        rate = sum(lost.values()) / MIB / ended_s
        how = f"six nodes on this machine, {len(lost)} chunks of {victim}"
        yield _only(
            "ingest, by `mcctl submit --wait`", ingest, "MiB/s", "three copies of each byte"
        )
        after = "s after the hold"
        goal = Goal(BEGIN_S_MAX)
        yield _only("first chunk has its copy again", begun_s, after, how, goal=goal)
        yield _only("all have their copies again", ended_s, after, how)
        yield _only("repair", rate, "MiB/s", f"{how}; one copy of each byte", more_is_better=True)
        share = Goal(SHARE_MIN, most=False)
        yield _only("repair / ingest", rate / ingest, "", how, goal=share, more_is_better=True)


def _victim(replicas: Sequence[Mapping[str, Any]], answers: str) -> tuple[str, Mapping[str, int]]:
    """Whoever has most of it, and is not the node that answers us; with its chunks."""
    held = Counter(copy["node"] for chunk in replicas for copy in chunk["copies"])
    held.pop(answers, None)
    victim = held.most_common(1)[0][0]
    mine = (one for one in replicas if victim in {copy["node"] for copy in one["copies"]})
    return victim, {chunk["id"]: chunk["bytes"] for chunk in mine}


async def _restored(cluster: DevCluster, victim: str, lost: set[str]) -> tuple[float, float]:
    """Seconds from the first word that it is gone for good to the first and the last copy."""
    for _ in range(LOOKS):
        _, told = await cluster.run("events", "--tail", TAIL, "-o", "jsonl")
        events = [json.loads(line) for line in told.splitlines()]
        gone = [_s(e) for e in events if e["event"] == "node.gone" and e["node"] == victim]
        back = [e for e in events if e["event"] == "chunk.restored"]
        times = [_s(e) for e in back if e["facts"]["chunk"] in lost]
        if gone and len({e["facts"]["chunk"] for e in back} & lost) == len(lost):
            return min(times) - min(gone), max(times) - min(gone)
        await asyncio.sleep(1.0)
    raise Broken(f"not all that {victim} held has its copies again")


def _s(event: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(event["time"]).timestamp()


def _only(
    what: str,
    value: float,
    unit: str,
    how: str,
    *,
    goal: Goal | None = None,
    more_is_better: bool = False,
) -> Row:
    return Row(what, unit, how, value, at="only", goal=goal, more_is_better=more_is_better)
