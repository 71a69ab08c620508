"""The events of several nodes: what each has told so far, and what each tells from now on."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mcctl.dev.lines import leaf
from multicloud.client import Client
from multicloud.errors import McError
from multicloud.v1 import insight_pb2, insight_pb2_grpc

ASK_S_MAX = 3.0
TOGETHER_S = 0.4  # Nodes look for news now and then; what comes within this is put in order.
AGAIN_S = 1.0
FOLLOW_S_MAX = 24 * 3600.0
WAITING_MAX = 10_000
EXIT_NOT_ALLOWED = 4

Tales = dict[str, list[insight_pb2.Event]]


def in_time(event: insight_pb2.Event) -> tuple[int, str, int]:
    """Events of several nodes in one order; those of one node as it told them."""
    return event.unix_ms, event.node, event.sequence


async def tales_of(client: Client, nodes: Sequence[str]) -> tuple[Tales, dict[str, str]]:
    """What each node has told, by id; and why of the others nothing is known."""
    told: Tales = {}
    silent: dict[str, str] = {}

    async def ask(node: str) -> None:
        try:
            told[node] = await tale(client, node)
        except McError as error:
            silent[node] = error.message

    async with asyncio.TaskGroup() as group:
        for node in nodes:
            group.create_task(ask(node))
    return told, silent


async def tale(client: Client, node: str, after: int = 0) -> list[insight_pb2.Event]:
    stub = (await client.to(node)).stub(insight_pb2_grpc.InsightServiceStub)
    request = insight_pb2.WatchEventsRequest(after_sequence=after)
    return [answer.event async for answer in stub.WatchEvents(request, timeout=ASK_S_MAX)]


@dataclass(slots=True)
class Follower:
    """What nodes tell from where `told` ends; a node that goes away is asked again and again."""

    client: Client
    nodes: Sequence[str]
    told: Mapping[str, Sequence[insight_pb2.Event]]
    _news: asyncio.Queue[insight_pb2.Event] = field(
        default_factory=lambda: asyncio.Queue(WAITING_MAX)
    )

    async def run(self, tell: Callable[[insight_pb2.Event], None]) -> None:
        """Until it is cancelled, or a node says that this caller may not look."""
        try:
            async with asyncio.TaskGroup() as group:
                for node in self.nodes:
                    group.create_task(self._follow(node))
                while True:
                    for event in await self._batch():
                        tell(event)
        except BaseExceptionGroup as failed:
            raise leaf(failed) from failed

    async def _batch(self) -> list[insight_pb2.Event]:
        batch = [await self._news.get()]
        await asyncio.sleep(TOGETHER_S)
        while not self._news.empty():
            batch.append(self._news.get_nowait())
        return sorted(batch, key=in_time)

    async def _follow(self, node: str) -> None:
        heard = self.told.get(node, ())
        last = heard[-1] if heard else None
        while True:
            try:
                last = await self._resume(node, last)
                stub = (await self.client.to(node)).stub(insight_pb2_grpc.InsightServiceStub)
                after = last.sequence if last else 0
                request = insight_pb2.WatchEventsRequest(after_sequence=after, follow=True)
                async for answer in stub.WatchEvents(request, timeout=FOLLOW_S_MAX):
                    last = answer.event
                    await self._news.put(last)
            except McError as error:
                if error.row.exit == EXIT_NOT_ALLOWED:
                    raise  # Who may not look now may not look later.
            await asyncio.sleep(AGAIN_S)

    async def _resume(self, node: str, last: insight_pb2.Event | None) -> insight_pb2.Event | None:
        """Where to go on. A node that was started anew counts from one: its tale is a new one."""
        if last is None:
            return None
        found = await tale(self.client, node, last.sequence - 1)
        same = bool(found) and (found[0].sequence, found[0].unix_ms) == (
            last.sequence,
            last.unix_ms,
        )
        return last if same else None
