"""`mcctl check`: certificates, clocks, links, clouds, from here and every node, with remedies."""

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from identity.certificate import read_certificate
from mcctl import reach, show
from mcctl.cli import run_async
from mcctl.show import Block, Cell, Table
from multicloud.client import Client
from multicloud.context import Context
from multicloud.errors import McError
from multicloud.v1 import admin_pb2

DAY_S = 86_400
CERTIFICATE_WARN_DAYS = 7  # Of an operator's 30; nodes are warned of by themselves, at 30 and 7.
HERE = "here"
STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}

Finding = dict[str, str]


def check(
    link: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Only what lies between these two nodes."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="List what is well, too.")] = False,
) -> int:
    """Look for what stands in the way, and name the exact remedy. Exit 1 when something is."""
    findings = run_async(_check(link))
    broken = any(f["severity"] == "error" for f in findings)
    value: dict[str, Any] = {"ok": not broken, "findings": findings}
    show.emit(value, _screen(findings, everything=everything or link is not None))
    return 1 if broken else 0


async def _check(link: tuple[str, str] | None) -> list[Finding]:
    async with reach.client() as client:
        seen = await reach.nodes(client)
        if link is not None:
            chosen = [_find(seen, name) for name in link]
            found = await _of_nodes(client, chosen)
            return [f for f in found if _between(f["subject"], chosen)]
        return [own_certificate(client.context, time.time()), *await _of_nodes(client, seen)]


async def _of_nodes(client: Client, seen: Sequence[reach.Seen]) -> list[Finding]:
    lists = await asyncio.gather(*(_of_node(client, one) for one in seen))
    return [finding for found in lists for finding in found]


async def _of_node(client: Client, seen: reach.Seen) -> list[Finding]:
    """Asked directly; and when it cannot be reached from here, through the node that answers."""
    name = seen.node.facts.name
    try:
        connection = await client.to(seen.node.facts.id or seen.address)
        answer = await connection.admin.CheckNode(admin_pb2.CheckNodeRequest())
        reached = _finding(
            "REACHED", f"{HERE} -> {name}", "ok", f"{seen.address}, mTLS, pinned", ""
        )
    except McError as away:
        reached = _unreached(seen, away)
        try:
            request = admin_pb2.CheckNodeRequest(node=seen.node.facts.id)
            answer = await client.admin.CheckNode(request)
        except McError as silent:
            remedy = f"start nodeagentd on {name}, or open its port for its peers"
            what = f"{client.node.name or client.node.address} cannot reach it either"
            if silent.reason not in ("UNREACHABLE", "DEADLINE"):
                what = f"it cannot be asked: {silent.message}"
            return [reached, _finding("NODE_SILENT", name, "error", what, remedy)]
    return [reached, *map(_read, answer.findings)]


def _unreached(seen: reach.Seen, away: McError) -> Finding:
    name, address = seen.node.facts.name, seen.address
    remedy = away.next
    if away.reason in ("UNREACHABLE", "DEADLINE"):
        port = address.rpartition(":")[2]
        remedy = f"start nodeagentd on {name}, or allow TCP {port} from here to {address}"
    # One node that can be reached from here is enough, so this is no error.
    return _finding("UNREACHED", f"{HERE} -> {name}", "warning", away.message, remedy)


def own_certificate(context: Context, now_unix_s: float) -> Finding:
    """How long we ourselves are still let in."""
    holder = read_certificate(context.certificate_pem)
    days = (holder.not_after_unix_s - now_unix_s) / DAY_S
    subject = f"{HERE} ({holder.identity.name})"
    what = f"valid for {days:.0f} more days" if days > 0 else "has expired"
    if days > CERTIFICATE_WARN_DAYS:
        return _finding("CERTIFICATE_OK", subject, "ok", what, "")
    name = holder.identity.name
    remedy = f"`mcctl cluster renew`, or ask an admin: `mcctl cluster issue-operator {name}`"
    return _finding("CERTIFICATE_ENDS", subject, "warning" if days > 0 else "error", what, remedy)


def _find(seen: Sequence[reach.Seen], name: str) -> reach.Seen:
    for one in seen:
        if name in (one.node.facts.name, one.node.facts.id, one.address):
            return one
    known = ", ".join(one.node.facts.name for one in seen)
    raise McError("NODE_UNKNOWN", f"there is no node {name!r}", next=f"one of: {known}")


def _between(subject: str, chosen: Sequence[reach.Seen]) -> bool:
    """`a -> b` of the chosen two; a peer that has never answered stands there as its address."""
    a, b = chosen
    ends = subject.split(" -> ")
    if len(ends) != 2:
        return False
    return any(
        ends[0] == one.node.facts.name
        and ends[1] in (other.node.facts.name, other.node.facts.id, other.address)
        for one, other in ((a, b), (b, a))
    )


def _read(finding: admin_pb2.Finding) -> Finding:
    severity = admin_pb2.Severity.Name(finding.severity).removeprefix("SEVERITY_").lower()
    return _finding(finding.code, finding.subject, severity, finding.what, finding.next)


def _finding(code: str, subject: str, severity: str, what: str, next_: str) -> Finding:
    return {"code": code, "subject": subject, "severity": severity, "what": what, "next": next_}


def _screen(findings: Sequence[Finding], *, everything: bool) -> list[Block]:
    count = {level: sum(f["severity"] == level for f in findings) for level in STYLES}
    shown = [f for f in findings if everything or f["severity"] != "ok"]
    summary = f"{count['ok']} well, {count['warning']} warnings, {count['error']} errors"
    rows: list[list[str | Cell]] = [
        [Cell(f["severity"], STYLES[f["severity"]]), f["subject"], f["what"], f["next"] or "-"]
        for f in shown
    ]
    blocks: list[Block] = [Table(("", "WHAT", "FOUND", "NEXT"), rows)] if rows else []
    return [*blocks, summary]
