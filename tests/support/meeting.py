"""Several real nodes in the test's own loop that know each other."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from nodeagent.store.volumes import Volumes
from tests.support.nodes import Place, Running, make_place, running, until
from tests.support.people import People

# They share one loop with the test, and nobody here dies: silence is load.
CALM = {"probe_s": 3.0, "suspect_s": 7.5, "silent_s": 20.0}


async def meeting(
    stack: AsyncExitStack,
    people: People,
    folder: Path,
    count: int,
    limits: dict[str, Any] | None = None,
    store: Callable[[Place], Volumes | None] = lambda _: None,
    on_disk: bool = False,
    sections: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Running]:
    """Nodes that have met: each knows where the others are."""
    nodes: list[Running] = []
    for number in range(1, count + 1):
        known = [node.address for node in nodes]
        join = {"peers": known, "greet_every_s": 0.2, "greet_timeout_s": 1.0}
        told = {"join": join, "limits": limits or {}, "watch": CALM, **(sections or {})}
        place = make_place(people, folder, number, told)
        nodes.append(await stack.enter_async_context(running(place, store(place), on_disk=on_disk)))
    await until(lambda: all(_knows(a, b) for a in nodes for b in nodes if a is not b), 30)
    return nodes


def _knows(one: Running, other: Running) -> bool:
    peer = one.node.roster.peers.get(other.place.id)
    return bool(peer and peer.facts and peer.facts.endpoints)
