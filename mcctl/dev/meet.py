"""Whether the nodes of a dev cluster have all greeted each other, asked of each of them."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from multicloud.client import Client
from multicloud.context import Contexts
from multicloud.errors import McError, Retry
from multicloud.v1 import admin_pb2, common_pb2

MET_S_MAX = 90.0  # Twenty nodes on a busy machine.
POLL_S = 0.1
Views = dict[str, list[common_pb2.Node]]  # Node that was asked, to what it knows.


async def views(client: Client, nodes: Sequence[str]) -> Views:
    """What each of these nodes says of all nodes; nothing, of one that does not answer yet."""

    async def ask(name: str) -> None:
        try:
            connection = await client.to(name)
            answer = await connection.admin.ListNodes(admin_pb2.ListNodesRequest(page_size=1000))
        except McError as silent:
            if silent.row.retry is Retry.NEVER:
                raise
        else:
            found[name] = list(answer.nodes)

    found: Views = {name: [] for name in nodes}
    async with asyncio.TaskGroup() as group:
        for name in nodes:
            group.create_task(ask(name))
    return found


def strangers(found: Views, nodes: Sequence[str]) -> list[str]:
    """Pairs of which the first has not been answered by the second."""
    return [
        f"{asked} to {other}"
        for asked, known in found.items()
        for other in set(nodes) - {asked} - {n.facts.name for n in known if _alive(n)}
    ]


async def all_met(context: str, described: dict[str, Any], note: Callable[[str], None]) -> None:
    """Waits until each node knows all others alive."""
    names = [node["name"] for node in described["nodes"]]
    note("waiting until all nodes have greeted each other")
    missing: list[str] = []
    try:
        async with asyncio.timeout(MET_S_MAX), Client(Contexts().load(context)) as client:
            while True:
                found = await views(client, names)
                missing = strangers(found, names)
                if not missing:
                    return
                await asyncio.sleep(POLL_S)
    except TimeoutError as late:
        raise McError(
            "FAILED",
            f"after {MET_S_MAX:g} s there is still no answer from {', '.join(missing[:5])}",
            next="`mcctl dev status` names the logs",
        ) from late


def _alive(node: common_pb2.Node) -> bool:
    return node.state == common_pb2.NODE_STATE_ALIVE
