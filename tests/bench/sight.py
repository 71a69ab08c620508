"""What the nodes of a dev cluster know of each other, and when each has learned it: by the events
that every node stamps itself. All clocks are this machine's, so no asking is in the figures.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass

from mcctl.dev import meet
from multicloud.client import Client
from multicloud.v1 import common_pb2, insight_pb2, insight_pb2_grpc
from tests.bench.cluster import DevCluster
from tests.bench.frame import Goal, Row, row

ASK_EVERY_S = 0.1
AT_REST_S = 1.0  # Of everybody knowing everybody; then streams stand, too.
AGREED_S_MAX = 60.0
NEAR_SHARE, NEAR_MS = 0.1, 2.0  # The goal of `mcctl rtt`: the larger of both.


@dataclass(frozen=True, slots=True)
class Seen:
    """Who has learned what of whom, and when."""

    observer: str
    what: str  # "node.down"
    subject: str
    unix_s: float


async def seen(client: Client, observer: str, since_unix_s: float) -> list[Seen]:
    connection = await client.to(observer)
    stub = connection.stub(insight_pb2_grpc.InsightServiceStub)
    found = []
    async for answer in stub.WatchEvents(insight_pb2.WatchEventsRequest()):
        event = answer.event
        if event.unix_ms / 1000 >= since_unix_s:
            subject = event.facts.get("node", "")
            found.append(Seen(observer, event.name, subject, event.unix_ms / 1000))
    return found


async def all_seen(client: Client, observers: Collection[str], since_unix_s: float) -> list[Seen]:
    """Since the stamps have milliseconds, so has `since`."""
    found = []
    for observer in observers:
        found += await seen(client, observer, int(since_unix_s * 1000) / 1000)
    return found


async def until_seen(
    client: Client,
    observers: Collection[str],
    subject: str,
    wanted: str,
    since_unix_s: float,
    within_s: float,
) -> list[Seen]:
    """What these have seen of the subject, once each has seen what is wanted, or too late."""
    end_s = time.monotonic() + within_s
    while True:
        found = [
            one for one in await all_seen(client, observers, since_unix_s) if one.subject == subject
        ]
        if {one.observer for one in found if one.what == wanted} == set(observers):
            return found
        if time.monotonic() > end_s:
            return found
        await asyncio.sleep(ASK_EVERY_S)


def last_s(found: list[Seen], what: str, observers: int, since_unix_s: float) -> float | None:
    """From then until the last observer first saw it; None when some have not."""
    first: dict[str, float] = {}
    for one in found:
        if one.what == what:
            first[one.observer] = min(one.unix_s, first.get(one.observer, one.unix_s))
    return max(first.values()) - since_unix_s if len(first) == observers else None


async def agreed(cluster: DevCluster, client: Client, say: Callable[[str], None]) -> None:
    """Waits until every node has known every other one alive for a while."""
    end_s, since_s = time.monotonic() + AGREED_S_MAX, time.monotonic()
    while time.monotonic() - since_s < AT_REST_S:
        if not await _all_alive(cluster, client):
            since_s = time.monotonic()
        if time.monotonic() > end_s:
            say("not all are known alive by all; going on all the same")
            return
        await asyncio.sleep(ASK_EVERY_S)


async def _all_alive(cluster: DevCluster, client: Client) -> bool:
    views: meet.Views = {}
    with suppress(ExceptionGroup):  # One is still coming back.
        views = await meet.views(client, cluster.names)
    return len(views) == len(cluster.names) and all(
        len(known) == len(cluster.names)
        and all(node.state == common_pb2.NODE_STATE_ALIVE for node in known)
        for known in views.values()
    )


async def told(cluster: DevCluster, client: Client) -> list[Row]:
    """The round trips that the nodes have measured, beside the delays that were set."""
    links = {(link["from"], link["to"]): link["delay_ms"] for link in cluster.described["links"]}
    set_ms = {(a, b): ms + links[b, a] for (a, b), ms in links.items()}
    views = await meet.views(client, cluster.names)
    found_ms = {(a, n.facts.name): n.rtt_ms for a, known in views.items() for n in known}
    off_ms = {pair: abs(found_ms[pair] - ms) for pair, ms in set_ms.items()}
    near = sum(off_ms[pair] <= max(NEAR_MS, NEAR_SHARE * ms) for pair, ms in set_ms.items())
    nodes = len(cluster.names)
    how = f"each of {len(set_ms)} ways as its node tells it, beside what was set"
    within = row(
        f"ways told within {NEAR_SHARE:.0%} or {NEAR_MS:g} ms, {nodes} nodes",
        [100 * near / len(set_ms)],
        "%",
        how,
        at="only",
        goal=Goal(100.0, most=False),
        more_is_better=True,
    )
    return [row(f"error of round trips, {nodes} nodes", off_ms.values(), "ms", how), within]
