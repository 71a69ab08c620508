"""`mcctl events sinks`: who is told of events, how far, and why not; has a disabled one go on."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from mcctl import reach, show
from mcctl.cli import run_async
from mcctl.show import Cell, Table
from multicloud.v1 import insight_pb2
from multicloud.v1.insight_pb2_grpc import InsightServiceStub

COLUMNS = ("SINK", "SENDER", "SENT", "WAITING", "LAST SENT", "STATE")
PAGE = 500
NONE = "no node has a sink: [[events.sinks]] in its configuration makes one"


def sinks(
    enable: Annotated[
        str, typer.Option(metavar="NAME", help="Have a sink go on that its receiver disabled.")
    ] = "",
) -> None:
    """Who is told of events, and how far. Waiting ones are those of the node that answers."""
    run_async(_sinks(enable))


async def _sinks(enable: str) -> None:
    async with reach.client() as client:
        stub = client.stub(InsightServiceStub)
        nodes = await reach.nodes(client)
        names = {one.node.facts.id: one.node.facts.name for one in nodes}
        if enable:
            await stub.EnableSink(insight_pb2.EnableSinkRequest(name=enable))
        answer = await stub.ListSinks(insight_pb2.ListSinksRequest(page_size=PAGE))
    found = [_fields(one, names) for one in answer.sinks]
    show.emit(found, Table(COLUMNS, [_row(one) for one in found]) if found else NONE)


def _fields(sink: insight_pb2.EventSink, names: dict[str, str]) -> dict[str, Any]:
    state = "disabled" if sink.disabled_why else "failing" if sink.failing_why else "ok"
    return {
        "name": sink.name,
        "sender": names.get(sink.sender, sink.sender),
        "sent": sink.sent,
        "waiting": sink.waiting if sink.HasField("waiting") else None,
        "last_sent": _time(sink.last_sent_unix_ms),
        "state": state,
        "why": sink.disabled_why or sink.failing_why,
        "failing_since": _time(sink.failing_since_unix_ms),
    }


def _time(unix_ms: int) -> str:
    return (
        datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="seconds") if unix_ms else ""
    )


def _row(one: dict[str, Any]) -> list[str | Cell]:
    style = {"ok": "green", "failing": "yellow", "disabled": "bold red"}[one["state"]]
    waiting = "" if one["waiting"] is None else str(one["waiting"])
    state = f"{one['state']}: {one['why']}" if one["why"] else one["state"]
    return [
        one["name"],
        one["sender"],
        str(one["sent"]),
        waiting,
        one["last_sent"],
        Cell(state, style),
    ]
