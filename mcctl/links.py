"""How a node gets on with its peers, as `mcctl node show` has it: whom it leaves alone, and why."""

from collections.abc import Mapping
from typing import Any

from mcctl.show import Block, Cell, Table
from mcctl.sizes import human
from multicloud.client import Client
from multicloud.errors import McError
from multicloud.v1 import insight_pb2
from multicloud.v1.insight_pb2_grpc import InsightServiceStub

STYLES = {"open": "bold red", "half-open": "yellow"}
AWAY = ("UNREACHABLE", "DEADLINE", "NODE_UNKNOWN", "UNSUPPORTED")


async def links_of(client: Client, node: str, names: Mapping[str, str]) -> dict[str, Any]:
    """From the node itself; of one that does not answer nothing is known."""
    request = insight_pb2.GetLinksRequest(node=node)
    try:
        found = await client.stub(InsightServiceStub).GetLinks(request)
    except McError as away:
        if away.reason not in AWAY:
            raise
        found = insight_pb2.GetLinksResponse()
    return {
        "links": [_link(link, names) for link in found.links],
        "retry_budgets": [_budget(budget) for budget in found.budgets],
    }


def _link(link: insight_pb2.LinkState, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "peer": names.get(link.peer, link.peer),
        "breaker": link.breaker,
        "why": link.why or None,
        "again_s": round(link.again_s, 1) or None,
        "bytes_out": link.bytes_out,
        "waited_share": round(min(1.0, link.waited_s / link.seconds), 4) if link.seconds else None,
    }


def _budget(budget: insight_pb2.RetryBudgetState) -> dict[str, Any]:
    return {
        "what": budget.what,
        "tokens": round(budget.tokens, 1),
        "most": budget.most,
        "retries": budget.retries,
        "refused": budget.refused,
        "waits": budget.waits or None,
    }


def blocks(found: dict[str, Any]) -> list[Block]:
    links, budgets = found["links"], found["retry_budgets"]
    said: list[Block] = []
    if links:
        said.append(Table(("PEER", "BREAKER", ">SENT", ">WAITED", "WHY"), [_row(x) for x in links]))
    if budgets:
        rows = [
            [
                one["what"],
                f"{one['tokens']:g} of {one['most']:g}",
                str(one["retries"]),
                str(one["refused"]),
                one["waits"] or "-",
            ]
            for one in budgets
        ]
        columns = ("RETRIES OF", ">LEFT", ">MADE", ">REFUSED", "WHY NOW")
        said.append(Table(columns, rows))
    return said


def _row(link: dict[str, Any]) -> list[str | Cell]:
    share, again_s = link["waited_share"], link["again_s"]
    later = f"; again in {again_s:g} s" if again_s else ""
    return [
        link["peer"],
        Cell(link["breaker"], STYLES.get(link["breaker"], "green")),
        human(link["bytes_out"]),
        "-" if share is None else f"{share:.0%}",
        f"{link['why']}{later}" if link["why"] else "-",
    ]
