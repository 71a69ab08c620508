"""`mcctl audit`: read the log of who changed what, and verify that nobody touched it."""

import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from identity.records import read_trust_json
from mcctl.cli import run_async
from mcctl.judging import Judgement, NodeName, Verdict, judge
from mcctl.options import options
from mcctl.show import Cell, Table, emit, next_step, note
from multicloud.client import Client
from multicloud.context import Contexts
from multicloud.errors import McError
from multicloud.v1 import admin_pb2
from multicloud.v1.peer_pb2 import AuditHead

EXIT_DAMAGED, EXIT_UNREACHABLE = 1, 3
PAGE_SIZE = 500
STAMP = "%Y-%m-%d %H:%M:%S"

app = typer.Typer(no_args_is_help=True)

Nodes = Annotated[list[str] | None, typer.Argument(help="Names or ids; none: every node.")]


@app.command()
def verify(nodes: Nodes = None) -> int:
    """Whether each log is as it was written. Exit 1 when one was edited, cut or replaced."""
    return run_async(_verify(nodes or []))


@app.command()
def show(
    node: Annotated[str, typer.Argument(help="Whose log; none: the node that answers.")] = "",
    denied: Annotated[bool, typer.Option("--denied", help="Only refused calls.")] = False,
    tail: Annotated[int, typer.Option(help="So many of the newest; 0: all.", min=0)] = 50,
) -> None:
    """Who changed what, and who was refused; newest last."""
    run_async(_show(node, denied, tail))


class _Remote:
    """Logs and heads as the cluster tells them, through the one node that answers."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def heads(self, node: str) -> Sequence[AuditHead]:
        request = admin_pb2.ListAuditHeadsRequest(node=node)
        return (await self._client.admin.ListAuditHeads(request)).heads

    async def read(self, node: str) -> AsyncIterator[Sequence[str]]:
        request = admin_pb2.ReadAuditRequest(node=node)
        async for answer in self._client.admin.ReadAudit(request):
            yield answer.lines

    async def members(self) -> list[NodeName]:
        found: list[NodeName] = []
        token = ""
        while True:
            request = admin_pb2.ListNodesRequest(page_size=PAGE_SIZE, page_token=token)
            page = await self._client.admin.ListNodes(request)
            found += [NodeName(n.facts.id, n.facts.name or n.facts.id) for n in page.nodes]
            token = page.next_page_token
            if not token:
                return sorted(found, key=lambda node: node.name)


async def _verify(wanted: Sequence[str]) -> int:
    context = Contexts().load(options().context)
    trust = read_trust_json(context.trust_json)
    async with Client(context, options().nodes) as client:
        remote = _Remote(client)
        everybody = await remote.members()
        chosen = _chosen(everybody, wanted)
        found = await judge(remote, everybody, chosen, trust)
    emit([_object(verdict) for verdict in found.verdicts], _table(found.verdicts))
    return _conclude(found)


def _chosen(everybody: Sequence[NodeName], wanted: Sequence[str]) -> list[NodeName]:
    if not wanted:
        return list(everybody)
    chosen = [node for node in everybody if {node.id, node.name} & set(wanted)]
    unknown = set(wanted) - {name for node in chosen for name in (node.id, node.name)}
    if unknown:
        known = ", ".join(node.name for node in everybody)
        raise McError("NODE_UNKNOWN", f"no node is called {sorted(unknown)[0]!r}; there is {known}")
    return chosen


def _conclude(found: Judgement) -> int:
    for why in found.refused:
        note(f"warning: {why}")
    if found.silent:
        note(f"warning: not asked for heads, since they do not answer: {', '.join(found.silent)}")
    alone = [v.node for v in found.verdicts if v.ok and v.records and not v.heads]
    if alone:
        note(
            f"note: no other node holds a head of {', '.join(alone)}: the chain is whole, but a"
            " log that was cut at its end would look the same"
        )
    if any(verdict.damaged for verdict in found.verdicts):
        next_step("keep the folder of that node as evidence; `mcctl audit show NODE` reads it")
        return EXIT_DAMAGED
    return 0 if all(verdict.ok for verdict in found.verdicts) else EXIT_UNREACHABLE


def _object(verdict: Verdict) -> dict[str, Any]:
    return {
        "node": verdict.node,
        "id": verdict.id,
        "ok": verdict.ok,
        "reachable": verdict.reachable,
        "records": verdict.records,
        "heads": verdict.heads,
        "problem": verdict.problem or None,
    }


def _table(verdicts: Sequence[Verdict]) -> Table:
    rows: list[list[str | Cell]] = [
        [v.node, _state(v), str(v.records), str(v.heads), Cell(_plain(v.problem), "dim")]
        for v in verdicts
    ]
    return Table(["NODE", "LOG", ">RECORDS", ">HEADS", "PROBLEM"], rows)


def _state(verdict: Verdict) -> Cell:
    if verdict.ok:
        return Cell("ok", "green")
    return Cell("DAMAGED", "bold red") if verdict.damaged else Cell("not read", "yellow")


async def _show(node: str, denied: bool, tail: int) -> None:
    kept: deque[dict[str, Any]] = deque(maxlen=tail or None)
    unreadable = 0
    async with Client(Contexts().load(options().context), options().nodes) as client:
        async for lines in _Remote(client).read(node):
            for line in lines:
                record = _record(line)
                if record is None:
                    unreadable += 1
                elif not denied or record.get("decision") == "denied":
                    kept.append(record)
    emit(list(kept), Table(["TIME", "", "WHO", "WHAT", "ON", "FROM"], [_row(r) for r in kept]))
    if unreadable:
        note(f"warning: {unreadable} lines are no records")
        next_step("`mcctl audit verify` says what was done to the log")


def _record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _row(record: dict[str, Any]) -> list[str | Cell]:
    def text(name: str) -> str:
        return _plain(str(record.get(name, "")))

    refused = record.get("decision") == "denied"
    mark = Cell(f"refused {text('reason')}", "red") if refused else Cell("", "")
    who = _short(text("actor")) or "nobody known"
    via = f" via {_short(text('via'))}" if record.get("via") else ""
    what = text("rpc").removeprefix("/multicloud.v1.")
    on = text("resource") or ("" if refused else text("reason"))
    return [_time(record.get("unix_ms")), mark, who + via, what, on, text("peer")]


def _short(uri: str) -> str:
    """operator/ann: in one cluster's log, its name is said by the cluster."""
    return uri.removeprefix("spiffe://").partition("/")[2] or uri


def _time(unix_ms: Any) -> str:
    try:
        return datetime.fromtimestamp(unix_ms / 1000, UTC).strftime(STAMP)
    except (TypeError, ValueError, OverflowError, OSError):
        return "?"


def _plain(text: str) -> str:
    """What callers wrote into a log must not steer the terminal of whoever reads it."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
