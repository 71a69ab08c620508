"""`mcctl place`: which nodes would get the copies of a chunk, why, which way, at what price."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from mcctl import reach, show
from mcctl.cli import run_async
from mcctl.show import Block, Cell, Table
from mcctl.sizes import human, size_bytes
from multicloud.errors import McError
from multicloud.v1 import admin_pb2, job_pb2

REPLICAS = 3
MS_SHOWN_MIN = 0.1
LEVELS = {
    "node": job_pb2.SPREAD_LEVEL_NODE,
    "zone": job_pb2.SPREAD_LEVEL_ZONE,
    "region": job_pb2.SPREAD_LEVEL_REGION,
    "cloud": job_pb2.SPREAD_LEVEL_CLOUD,
}


def place(
    size: Annotated[
        str, typer.Option(metavar="SIZE", help="Of the chunk: 64MiB, 1.5GB.")
    ] = "64MiB",
    source: Annotated[
        str, typer.Option("--from", metavar="NODE", help="Who has the bytes; else who answers.")
    ] = "",
    replicas: Annotated[int, typer.Option(min=1, help="How many copies.")] = REPLICAS,
    spread: Annotated[
        list[str] | None,
        typer.Option(metavar="LEVEL=N", help="So many node, zone, region or cloud; repeatable."),
    ] = None,
    near: Annotated[
        str, typer.Option(metavar="REGION", help="One copy near there: aws/us-east-1.")
    ] = "",
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="REGION", help="Only there: aws/eu-west-1, gcp/*; repeatable."),
    ] = None,
    key: Annotated[
        str, typer.Option(metavar="TEXT", help="Stands for the chunk: another key, another draw.")
    ] = "",
    explain: Annotated[
        bool, typer.Option("--explain", help="Every candidate, and why it was chosen or not.")
    ] = False,
) -> None:
    """Which nodes would get the copies of a chunk, and why. Nothing is sent."""
    request = admin_pb2.ExplainPlacementRequest(
        from_node=source,
        size_bytes=size_bytes(size),
        placement_key=key,
        policy=job_pb2.Policy(
            replicas=replicas,
            spread=[spread_rule(text, replicas) for text in spread or ()],
            near_region=near,
            allow_regions=allow or (),
        ),
    )
    answer = run_async(_asked(request))
    found = fields(answer)
    show.emit(found, list(screen(found, request.size_bytes, explain)))


async def _asked(
    request: admin_pb2.ExplainPlacementRequest,
) -> admin_pb2.ExplainPlacementResponse:
    async with reach.client() as client:
        return await client.admin.ExplainPlacement(request)


def spread_rule(text: str, replicas: int) -> job_pb2.SpreadRule:
    """`cloud=3`, or `node`: each copy in another."""
    word, equals, number = text.partition("=")
    if word not in LEVELS or (equals and not number.isdecimal()):
        raise McError(
            "USAGE",
            f"--spread {text!r} is no rule",
            next=f"write it like cloud=2; levels are {', '.join(LEVELS)}",
        )
    return job_pb2.SpreadRule(level=LEVELS[word], count=int(number) if equals else replicas)


def fields(answer: admin_pb2.ExplainPlacementResponse) -> dict[str, Any]:
    """As documented for `mcctl place -o json`."""
    domains = {c.node: c.domain for c in answer.candidates}
    return {
        "targets": [_stands(name, domains[name]) for name in answer.targets],
        "candidates": [
            {
                **_stands(c.node, c.domain),
                "eligible": c.eligible,
                "reason": c.reason,
                "score": round(c.score, 4),
            }
            for c in answer.candidates
        ],
        "tree": [
            {
                "from": getattr(edge, "from"),
                "to": edge.to,
                "usd_per_gb": edge.usd_per_gb,
                "ms": edge.ms,
            }
            for edge in answer.tree
        ],
        "survives": survives(answer.survival),
        "met": answer.met,
        "unmet": answer.unmet or None,
        "source": answer.from_node,
        "spares": list(answer.spares),
        "usd": answer.usd,
        "prices_of": answer.prices_date,
    }


def survives(found: job_pb2.Survival) -> dict[str, Any]:
    return {
        "nodes": found.nodes,
        "zones": found.zones,
        "regions": found.regions,
        "clouds": found.clouds,
        "sentence": found.sentence,
    }


def _stands(name: str, domain: Any) -> dict[str, Any]:
    return {"node": name, "cloud": domain.cloud, "region": domain.region, "zone": domain.zone}


def screen(found: dict[str, Any], size: int, explain: bool) -> Iterator[Block]:
    """For people: the targets, the way there, what it survives, and, if asked, everyone else."""
    rows = [_row(target) for target in found["targets"]]
    yield f"{human(size)} from {found['source']}: {len(rows)} targets"
    yield Table(("NODE", "CLOUD", "REGION", "ZONE"), rows)
    if not found["met"]:
        yield Cell(f"the policy is not met now: {found['unmet']}", "bold yellow")
        yield "the copies would count as acked, not as safe, and be moved when it can be met"
    usd_per_gb = sum(edge["usd_per_gb"] for edge in found["tree"])
    yield f"${usd_per_gb:.4g}/GB, ${found['usd']:.2g} in all, at prices of {found['prices_of']}:"
    yield "\n".join(drawing(found["source"], found["tree"], [row[0] for row in rows]))
    yield found["survives"]["sentence"]
    if explain:
        yield Table(
            ("CANDIDATE", "CLOUD", "REGION", "ZONE", ">SCORE", "WHY"),
            [[*_row(c), _score(c), _reason(c)] for c in found["candidates"]],
        )


def _row(stands: dict[str, Any]) -> list[str]:
    return [stands[key] or "-" for key in ("node", "cloud", "region", "zone")]


def _score(candidate: dict[str, Any]) -> str:
    return f"{candidate['score']:.2f}" if candidate["eligible"] else "-"


def _reason(candidate: dict[str, Any]) -> Cell:
    reason = candidate["reason"]
    chosen = reason.startswith("chosen")
    style = "green" if chosen else "" if candidate["eligible"] else "yellow"
    return Cell(reason, style)


def drawing(source: str, tree: Sequence[dict[str, Any]], targets: Sequence[str]) -> list[str]:
    """The transfer tree with dollars and milliseconds."""
    keeps = " (keeps a copy)" if source in targets else ""
    return [f"{source}{keeps}", *_branches(source, tree, "")]


def _branches(at: str, tree: Sequence[dict[str, Any]], indent: str) -> Iterator[str]:
    edges = [edge for edge in tree if edge["from"] == at]
    for edge in edges:
        last = edge is edges[-1]
        price = f"${edge['usd_per_gb']:.4g}/GB" if edge["usd_per_gb"] else "free"
        ms = f"{edge['ms']:.1f}" if edge["ms"] >= MS_SHOWN_MIN else f"<{MS_SHOWN_MIN}"
        yield f"{indent}{'└' if last else '├'}─ {price}, {ms} ms ─ {edge['to']}"
        yield from _branches(edge["to"], tree, indent + ("   " if last else "│  "))
