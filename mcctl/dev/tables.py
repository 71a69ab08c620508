"""How dev clusters look to people."""

from typing import Any

from mcctl import show
from mcctl.show import Block, Cell, Table

_STYLES = {"running": "green", "starting": "yellow", "paused": "yellow"}


def cluster(described: dict[str, Any]) -> None:
    blocks: list[Block] = [
        f"{described['context']}: {len(described['nodes'])} nodes in {described['folder']}",
        Table(
            ("NODE", "CLOUD", "REGION", "ZONE", "STATE", "ADDRESS", "HTTP", ">PID"),
            [_node(node) for node in described["nodes"]],
        ),
    ]
    odd = [link for link in described["links"] if link["cut"] or link["stalled"] or link["mbit"]]
    if odd:
        blocks += ["not as at the start (`mcctl dev heal`):", _links(odd)]
    show.emit(described, blocks)


def links(described: list[dict[str, Any]]) -> None:
    show.emit(described, _links(described))


def context_option(described: dict[str, Any]) -> str:
    """What to add to a command so that it means this cluster."""
    from multicloud.context import Contexts

    context: str = described["context"]
    return "" if Contexts().current() == context else f" --context {context}"


def _node(node: dict[str, Any]) -> list[str | Cell]:
    state = node["state"]
    if state == "exited":
        state = f"exited ({node['exit_code']})"
    return [
        *(node[key] for key in ("name", "cloud", "region", "zone")),
        Cell(state, _STYLES.get(state, "red")),
        *(node[key] for key in ("address", "http")),
        str(node["pid"] or "-"),
    ]


def _links(described: list[dict[str, Any]]) -> Table:
    rows: list[list[str | Cell]] = []
    for link in described:
        state = (
            "cut" if link["cut"] else f"{link['stalled']} stalled" if link["stalled"] else "open"
        )
        rows.append(
            [
                link["from"],
                link["to"],
                f"{link['delay_ms']:g}",
                "-" if link["mbit"] is None else f"{link['mbit']:g}",
                Cell(state, "green" if state == "open" else "red"),
            ]
        )
    return Table(("FROM", "TO", ">DELAY MS", ">MBIT", "STATE"), rows)
