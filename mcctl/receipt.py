"""`mcctl receipt`: the proof of a job: what came in, what went out, where it is, what it cost."""

from collections import Counter
from typing import Any

from mcctl import reach, show
from mcctl.cli import run_async
from mcctl.jobs import JobId
from mcctl.jobs_show import clock, fields, screen
from mcctl.plan import borders, bucket, bucket_line
from mcctl.show import Block, Table
from mcctl.sizes import human
from multicloud.client import Client
from multicloud.errors import McError
from multicloud.v1 import common_pb2, job_pb2
from multicloud.v1.job_pb2_grpc import JobServiceStub

Standing = dict[str, common_pb2.NodeFacts]


def receipt(job: JobId) -> None:
    """What came in, what went out, what it cost beside what was planned, what it survives, and
    where every copy is (a summary for people; -o json has each chunk).
    """
    value, head = run_async(_receipt(job))
    show.emit(value, _screen(value, head))


async def _receipt(job: str) -> tuple[dict[str, Any], job_pb2.Job]:
    async with reach.client() as client:
        nodes = {one.node.facts.id: one.node.facts for one in await reach.nodes(client)}
        return await _read(client, job, nodes)


async def _read(client: Client, job: str, nodes: Standing) -> tuple[dict[str, Any], job_pb2.Job]:
    head: job_pb2.Job | None = None
    replicas: list[dict[str, Any]] = []
    request = job_pb2.GetReceiptRequest(job=job)
    async for part in client.stub(JobServiceStub).GetReceipt(request):
        if part.HasField("job"):
            head = part.job
        else:
            replicas.append(_chunk(part.chunk, nodes))
    if head is None:
        raise McError("INTERNAL", f"the receipt of {job} came without its totals")
    value = {
        **fields(head),
        "wan_bytes": borders(head.cost),
        "wan_bytes_doubled": head.cost.doubled_bytes,
        "planned_wan_bytes": borders(job_pb2.Cost(edges=head.cost.planned_edges)),
        "planned_seconds": round(head.cost.planned_seconds, 1) or None,
        "replicas": replicas,
    }
    value["bucket"] = bucket(head.cost)
    return value, head


def _chunk(found: job_pb2.ReceiptChunk, nodes: Standing) -> dict[str, Any]:
    return {
        "index": found.index,
        "id": found.chunk.id.hex(),
        "bytes": found.chunk.size_bytes,
        "trace_id": found.trace_id or None,
        "copies": [_copy(copy, nodes) for copy in found.copies],
    }


def _copy(copy: common_pb2.Copy, nodes: Standing) -> dict[str, Any]:
    """A node that nobody knows any more has its id for a name."""
    if "/" in copy.node:
        return _in_bucket(nodes, copy)
    facts = nodes.get(copy.node, common_pb2.NodeFacts(id=copy.node, name=copy.node))
    return {
        "node": facts.name,
        "cloud": facts.domain.cloud,
        "region": facts.domain.region,
        "zone": facts.domain.zone,
    }


def _in_bucket(nodes: Standing, copy: common_pb2.Copy) -> dict[str, Any]:
    """Whoever serves it by now."""
    volumes = (volume for facts in nodes.values() for volume in facts.volumes)
    found = next((one.bucket for one in volumes if one.uuid == copy.volume), None)
    return {
        "node": found.uri if found else f"volume {copy.volume}",
        "cloud": found.cloud if found else "",
        "region": found.region if found else "",
        "zone": "",
    }


def _beside(planned: list[dict[str, Any]], actual: list[dict[str, Any]]) -> Table:
    """What was to cross each border beside what did."""
    of = [{(edge["from"], edge["to"]): edge for edge in edges} for edges in (planned, actual)]
    rows = [
        [
            *border,
            *(human(edges[border]["bytes"]) if border in edges else "-" for edges in of),
            *(f"{edges[border]['usd']:.4f}" if border in edges else "-" for edges in of),
        ]
        for border in sorted({*of[0], *of[1]})
    ]
    return Table(("FROM", "TO", ">PLANNED", ">SENT", ">USD PLANNED", ">USD"), rows)


def _screen(value: dict[str, Any], head: job_pb2.Job) -> list[Block]:
    blocks = screen(head)
    if value["planned_seconds"]:
        blocks.append(f"planned: {clock(value['planned_seconds'])}, it took {clock(head.seconds)}")
    if value["wan_bytes"] or value["planned_wan_bytes"]:
        blocks.append(_beside(value["planned_wan_bytes"], value["wan_bytes"]))
    if value["wan_bytes_doubled"]:
        doubled = human(value["wan_bytes_doubled"])
        blocks.append(
            f"{doubled} of that twice: tasks that took long were given to a second worker"
        )
    blocks += bucket_line(head.cost)
    chunks: Counter[tuple[str, ...]] = Counter()
    sizes: Counter[tuple[str, ...]] = Counter()
    for replica in value["replicas"]:
        for copy in replica["copies"]:
            where = tuple(copy[key] or "-" for key in ("node", "cloud", "region", "zone"))
            chunks[where] += 1
            sizes[where] += replica["bytes"]
    if chunks:
        rows = [[*where, str(chunks[where]), human(sizes[where])] for where in sorted(chunks)]
        blocks.append(Table(("NODE", "CLOUD", "REGION", "ZONE", ">COPIES", ">BYTES"), rows))
    return blocks
