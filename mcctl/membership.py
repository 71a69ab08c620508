"""`mcctl node undrain` and `remove`: what an operator decides about a node."""

from typing import Annotated, Any

import typer

from mcctl import reach, show
from mcctl.cli import run_async
from multicloud.client import Client
from multicloud.errors import McError
from multicloud.v1 import admin_pb2, common_pb2

THERE = (common_pb2.NODE_STATE_ALIVE, common_pb2.NODE_STATE_DRAINING)
NodeName = Annotated[str, typer.Argument(metavar="NODE", help="Name or id.")]


def undrain(name: NodeName) -> None:
    """Data may be placed on the node again."""
    fields = run_async(_undrain(name))
    show.emit(fields, f"{fields['name']} is {fields['state']}: data is placed on it again")


def remove(name: NodeName) -> int | None:
    """The node never comes back: every other refuses it from now on. Asks first."""
    fields = run_async(_remove(name))
    if fields is None:
        show.note(f"{name} was not removed")
        return 1
    gone = fields["name"] or fields["id"]
    show.emit(fields, f"{gone} is removed for ever: every node refuses it from now on")
    show.next_step(
        f"stop its daemon and take it out of join.peers of others; to use the machine again: "
        f"`mcctl cluster issue-node {gone}`"
    )
    return None


async def _undrain(name: str) -> dict[str, Any]:
    async with reach.client() as client:
        answer = await client.admin.UndrainNode(admin_pb2.UndrainNodeRequest(node=name))
        return _fields(client, answer.node)


async def _remove(name: str) -> dict[str, Any] | None:
    """None: the operator thought better of it."""
    async with reach.client() as client:
        node = (await client.admin.GetNode(admin_pb2.GetNodeRequest(node=name))).node
        if node.state != common_pb2.NODE_STATE_REMOVED and not show.confirm(_question(node)):
            return None
        admin = client.admin
        if client.node.id == node.facts.id:
            admin = (await client.to(await _another(client, node.facts.id))).admin
        answer = await admin.RemoveNode(admin_pb2.RemoveNodeRequest(node=node.facts.id))
        return _fields(client, answer.node)


async def _another(client: Client, than: str) -> str:
    """No node removes itself; any other may."""
    for one in await reach.nodes(client):
        if one.node.facts.id != than and one.node.state in THERE:
            return one.node.facts.id
    raise McError(
        "FAILED",
        "a node cannot remove itself, and no other is there to do it",
        next="`mcctl nodes`: start another node, or end the cluster as a whole",
    )


def _question(node: common_pb2.Node) -> str:
    at = "/".join(filter(None, (node.facts.domain.cloud, node.facts.domain.region)))
    return (
        f"Remove {node.facts.name or node.facts.id} ({at or 'place not known'}, "
        f"{reach.state_name(node.state)}) for ever? No node will ever let it in again, "
        "and nothing takes this back."
    )


def _fields(client: Client, node: common_pb2.Node) -> dict[str, Any]:
    (seen,) = reach.with_missing(
        [node], [e for e in client.context.endpoints if e.id == node.facts.id]
    )
    return seen.fields
