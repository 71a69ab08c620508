"""`mcctl doctor`: every node examines its volumes and chunks and mends what it can."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from mcctl import reach, rebuilding, show
from mcctl.cli import run_async
from mcctl.show import Block, Cell, Table
from multicloud.client import Client
from multicloud.errors import McError
from multicloud.v1 import admin_pb2

ASK_S = 60.0
STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}
GC_QUESTION = "Put into the trash whatever nothing names, also when it is much?"
REBUILD_QUESTION = "Let every version stand again whose manifest is found and that is not decided?"
AWAY = ("UNREACHABLE", "DEADLINE", "DRAINING", "WRONG_PEER")

Finding = dict[str, str]


def doctor(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NODE]...|rebuild",
            help="Names or ids, else all nodes; or `rebuild`: versions by their chunks alone.",
        ),
    ] = None,
    scrub: Annotated[
        bool, typer.Option("--scrub", help="Every chunk is read again, beginning now.")
    ] = False,
    collect: Annotated[
        bool, typer.Option("--gc", help="Confirm that much may go to the trash. Asks first.")
    ] = False,
    decide: Annotated[
        bool, typer.Option("--decide", help="With `rebuild`: what is lost stands again.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="List what is well, too.")] = False,
) -> int:
    """Find what is wrong with volumes and chunks, mend it, and say what is left to you. Exit 1
    when something is.
    """
    if names == ["rebuild"]:
        return _rebuild(decide=decide)
    if decide:
        raise McError("USAGE", "--decide goes with `mcctl doctor rebuild`")
    if collect and not show.confirm(GC_QUESTION):
        show.note("nothing was done")
        return 1
    findings = run_async(_examined(names or [], scrub=scrub, collect=collect))
    broken = any(one["severity"] == "error" for one in findings)
    value: dict[str, Any] = {"ok": not broken, "findings": findings}
    show.emit(value, _screen(findings, everything=everything))
    return 1 if broken else 0


def _rebuild(*, decide: bool) -> int:
    """Exit 1 when something that was found does not stand."""
    if decide and not show.confirm(REBUILD_QUESTION):
        show.note("nothing was decided")
        return 1
    found = run_async(rebuilding.rebuilt(decide=decide))
    show.emit(found, rebuilding.screen(found, decide=decide))
    return 1 if any(one["state"] == "lost" for one in found["versions"]) else 0


async def _examined(names: Sequence[str], *, scrub: bool, collect: bool) -> list[Finding]:
    async with reach.client() as client:
        seen = await reach.nodes(client)
        chosen = [_find(seen, name) for name in names] or seen
        asked = (_of_node(client, one, scrub=scrub, collect=collect) for one in chosen)
        lists = await asyncio.gather(*asked)
    return [finding for found in lists for finding in found]


async def _of_node(
    client: Client, seen: reach.Seen, *, scrub: bool, collect: bool
) -> list[Finding]:
    """Asked directly; and when it cannot be reached from here, through the node that answers."""
    request = admin_pb2.ExamineNodeRequest(scrub=scrub, collect=collect)
    try:
        try:
            connection = await client.to(seen.node.facts.id or seen.address)
            answer = await connection.admin.ExamineNode(request, timeout=ASK_S)
        except McError as away:
            if away.reason not in AWAY:
                raise
            request.node = seen.node.facts.id
            answer = await client.admin.ExamineNode(request, timeout=ASK_S)
    except McError as silent:
        return [_silent(seen, silent)]
    return [_read(one) for one in answer.findings]


def _silent(seen: reach.Seen, error: McError) -> Finding:
    """A node that cannot be asked hides no other."""
    name = seen.node.facts.name
    remedy = error.next
    if error.reason in AWAY:
        remedy = f"start nodeagentd on {name}, or `mcctl check` for what stands between"
    return {
        "code": "NODE_SILENT",
        "subject": name,
        "severity": "error",
        "what": f"it was not examined: {error.message}",
        "next": remedy,
        "done": "",
    }


def _find(seen: Sequence[reach.Seen], name: str) -> reach.Seen:
    for one in seen:
        if name in (one.node.facts.name, one.node.facts.id, one.address):
            return one
    known = ", ".join(one.node.facts.name for one in seen)
    raise McError("NODE_UNKNOWN", f"there is no node {name!r}", next=f"one of: {known}")


def _read(found: admin_pb2.Finding) -> Finding:
    severity = admin_pb2.Severity.Name(found.severity).removeprefix("SEVERITY_").lower()
    return {
        "code": found.code,
        "subject": found.subject,
        "severity": severity,
        "what": found.what,
        "next": found.next,
        "done": found.done,
    }


def _screen(findings: Sequence[Finding], *, everything: bool) -> list[Block]:
    shown = [f for f in findings if everything or f["severity"] != "ok" or f["done"]]
    rows: list[list[str | Cell]] = [
        [
            Cell(one["severity"], STYLES[one["severity"]]),
            one["subject"],
            one["what"],
            one["done"] or "-",
            one["next"] or "-",
        ]
        for one in shown
    ]
    errors, warnings, mended = (
        sum(f["severity"] == "error" for f in findings),
        sum(f["severity"] == "warning" for f in findings),
        sum(bool(f["done"]) for f in findings),
    )
    blocks: list[Block] = [Table(("", "WHAT", "FOUND", "DONE", "NEXT"), rows)] if rows else []
    return [*blocks, f"{errors} errors, {warnings} warnings, {mended} things done"]
