"""How all nodes of a dev cluster see each other: facts to wait for, with the time of each."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from mcctl import tales
from mcctl.dev import ask
from mcctl.dev.folder import folder_of
from mcctl.reach import state_name
from multicloud.client import Client
from multicloud.errors import McError
from multicloud.v1 import admin_pb2, insight_pb2
from tests.live.cluster import Cluster

FACT_S_MAX = 30.0  # Deadlines have room for a busy machine; figures are made by `make bench`.
LOOK_EVERY_S = 0.1
Views = Mapping[str, Mapping[str, str]]  # Who was asked, to the state of each other.


@dataclass(frozen=True)
class Eyes:
    cluster: Cluster
    client: Client
    names: tuple[str, ...]

    async def do(self, verb: str, node: str) -> float:
        """`kill`, `pause`…: at once, and not after a command has started. The time it was done."""
        folder = folder_of(self.cluster.name, self.cluster.home.env)
        begun_s = time.time()
        await ask.ask(folder, {"do": verb, "node": node}, lambda _: None)
        return begun_s

    async def link(self, do: str, *sides: str, one_way: bool = False) -> float:
        """`cut` or `heal`."""
        a, b = (*sides, None, None)[:2]
        folder = folder_of(self.cluster.name, self.cluster.home.env)
        begun_s = time.time()
        await ask.ask(folder, {"do": do, "a": a, "b": b, "one_way": one_way}, lambda _: None)
        return begun_s

    async def node(self, asked: str, other: str) -> Any:
        admin = (await self.client.to(asked)).admin
        return (await admin.GetNode(admin_pb2.GetNodeRequest(node=other), timeout=3)).node

    async def view(self, asked: str) -> dict[str, str]:
        admin = (await self.client.to(asked)).admin
        answer = await admin.ListNodes(admin_pb2.ListNodesRequest(page_size=100), timeout=3)
        return {node.facts.name: state_name(node.state) for node in answer.nodes}

    async def views(self, asked: Iterable[str]) -> Views:
        wanted = list(asked)
        found = await asyncio.gather(*(self.view(name) for name in wanted))
        return dict(zip(wanted, found, strict=True))

    async def see(self, asked: Iterable[str], other: str, *states: str) -> None:
        """Waits until all who are asked see the other in one of these states, or `absent`."""
        wanted = list(asked)
        await self._until(
            wanted, lambda views: {v.get(other, "absent") for v in views.values()} <= set(states)
        )

    async def all_well(self) -> None:
        """Waits until every node sees every node alive."""
        everybody = dict.fromkeys(self.names, "alive")
        await self._until(self.names, lambda views: all(v == everybody for v in views.values()))

    async def _until(self, asked: Iterable[str], holds: Callable[[Views], bool]) -> None:
        wanted, found, failure = list(asked), {}, ""
        end_s = time.monotonic() + FACT_S_MAX
        while time.monotonic() < end_s:
            try:
                found = dict(await self.views(wanted))
            except McError as error:  # One that was just started does not answer yet.
                failure = str(error)
            else:
                if holds(found):
                    return
            await asyncio.sleep(LOOK_EVERY_S)
        raise AssertionError(f"not so after {FACT_S_MAX:g} s: {found} {failure}")

    async def know(self, other: str, holds: Callable[[set[int]], bool]) -> None:
        """Waits until the generations that all nodes know of another are as wanted."""
        found: set[int] = set()
        async with asyncio.timeout(FACT_S_MAX):
            while not holds(found):
                nodes = [await self.node(name, other) for name in self.names]
                found = {node.facts.generation for node in nodes}
                await asyncio.sleep(LOOK_EVERY_S)

    async def told(self, asked: str, since_s: float) -> list[tuple[str, str, float]]:
        """What a node has told since: what, of whom, and how long after."""
        ids = {node["id"]: node["name"] for node in self.cluster.described["nodes"]}
        events: list[insight_pb2.Event] = await tales.tale(self.client, asked)
        return [
            (e.name, ids.get(e.facts["id"], ""), e.unix_ms / 1000 - since_s)
            for e in events
            if e.unix_ms / 1000 >= since_s
        ]

    async def tell(self, asked: Iterable[str], what: str, of: str, since_s: float) -> float:
        """Waits until all who are asked have told it; after how long the last one did."""
        last_s = 0.0
        for name in asked:
            async with asyncio.timeout(FACT_S_MAX):
                while not (found := _first(await self.told(name, since_s), what, of)):
                    await asyncio.sleep(LOOK_EVERY_S)
            last_s = max(last_s, found)
        return last_s

    async def nobody_tells(self, what: str, since_s: float, asked: Iterable[str] = ()) -> None:
        for name in asked or self.names:
            found = [event for event in await self.told(name, since_s) if event[0] == what]
            assert found == [], f"{name} tells {found}"

    def others(self, *but: str) -> list[str]:
        return [name for name in self.names if name not in but]


def _first(told: Iterable[tuple[str, str, float]], what: str, of: str) -> float:
    return next((after_s for name, node, after_s in told if (name, node) == (what, of)), 0.0)


@asynccontextmanager
async def eyes(cluster: Cluster) -> AsyncIterator[Eyes]:
    """All are well when it begins; whatever was cut is healed when it ends."""
    names = tuple(node["name"] for node in cluster.described["nodes"])
    async with cluster.client() as client:
        found = Eyes(cluster, client, names)
        await found.all_well()
        try:
            yield found
        finally:
            await found.link("heal")
