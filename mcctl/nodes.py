"""`mcctl nodes` and `mcctl node …`: who is there, in which state, how far away; and its fate."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from mcctl import draining, links, membership, reach, show, volumes, watching
from mcctl.cli import run_async
from mcctl.show import Cell, Table
from multicloud.errors import McError
from multicloud.v1 import admin_pb2

node = typer.Typer(no_args_is_help=True)

node.command("drain")(draining.drain)
node.command("undrain")(membership.undrain)
node.command("remove")(membership.remove)

STATE_STYLES = {"alive": "green", "draining": "yellow", "suspect": "yellow", "left": "dim"}


def nodes(
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Again every second, until Ctrl-C.")
    ] = False,
) -> None:
    """Every node: where it stands, its state, and the round trip to it from here."""
    if watch:
        run_async(watching.watch())
        return
    seen = run_async(_nodes())
    found = [one.fields for one in seen]
    show.emit(found, table(found))


@node.command("show")
def show_node(name: Annotated[str, typer.Argument(metavar="NODE", help="Name or id.")]) -> None:
    """One node in full."""
    found = run_async(_node(name))
    apart = ("volumes", "links", "retry_budgets")
    rest = {key: value for key, value in found.items() if key not in apart}
    kept = [volumes.table(found["volumes"])] if found["volumes"] else []
    show.emit(found, [show.table_of(rest), *kept, *links.blocks(found)])


async def _nodes() -> list[reach.Seen]:
    async with reach.client() as client:
        return await reach.measured(await reach.nodes(client))


async def _node(name: str) -> dict[str, Any]:
    async with reach.client() as client:
        try:
            answer = await client.admin.GetNode(admin_pb2.GetNodeRequest(node=name))
        except McError as unknown:
            if unknown.reason not in ("NODE_UNKNOWN", "NOT_FOUND"):
                raise
            # The context may still know a node that the one that answers has never heard.
            found = [s for s in await reach.nodes(client) if name in _names(s)]
            if not found:
                raise
        else:
            found = reach.with_missing([answer.node], client.context.endpoints)
            found = [one for one in found if one.node.facts.id == answer.node.facts.id]
        (seen,) = await reach.measured(found[:1])
        kept = await volumes.volumes_of(client, seen.node)
        names = {one.node.facts.id: one.node.facts.name for one in await reach.nodes(client)}
        beside = await links.links_of(client, seen.node.facts.id, names)
    facts = seen.node.facts
    endpoints = [{"network": e.network, "api": e.api, "watch": e.watch} for e in facts.endpoints]
    return {
        **seen.fields,
        "rtt_ms_from": {client.node.name or client.node.address: seen.node.rtt_ms or None},
        "endpoints": endpoints,
        "generation": facts.generation,
        "revision": facts.revision,
        "format_level_max": facts.format_level_max,
        "council": {
            "member": seen.node.in_council,
            "volume": facts.council_volume or None,
        },
        "volumes": kept,
        **beside,
    }


def _names(seen: reach.Seen) -> tuple[str, str]:
    return seen.node.facts.name, seen.node.facts.id


def table(found: list[dict[str, Any]]) -> Table:
    """Nodes for people."""
    columns = ("NODE", "CLOUD", "REGION", "ZONE", "STATE", ">RTT MS", "ADDRESS", "CERTIFICATE")
    return Table((*columns, "VERSION"), [_row(fields) for fields in found])


def _row(fields: dict[str, Any]) -> list[str | Cell]:
    state, rtt_ms = fields["state"], fields["rtt_ms"]
    return [
        *(fields[key] or "-" for key in ("name", "cloud", "region", "zone")),
        Cell(_shown(fields), STATE_STYLES.get(state, "bold red")),
        "-" if rtt_ms is None else f"{rtt_ms:.1f}",
        fields["address"] or "-",
        _days_left(fields["certificate_ends"]),
        fields["version"] or "-",
    ]


def _shown(fields: dict[str, Any]) -> str:
    """A node that is being emptied, with how far it is."""
    leaving = fields["leaving"]
    if fields["state"] != "draining" or leaving is None:
        return str(fields["state"])
    return "emptied" if leaving["done"] else f"draining, {leaving['chunks_left']} left"


def _days_left(ends: str | None) -> str:
    if ends is None:
        return "-"
    return f"{(datetime.fromisoformat(ends) - datetime.now(UTC)).days} days"
