"""`mcctl plan`: what a job would read, write, cost and survive. Nothing runs."""

from typing import Any

from mcctl import reach, show
from mcctl.cli import run_async
from mcctl.jobs_show import clock
from mcctl.place import survives
from mcctl.plan_counted import counted
from mcctl.show import Block, Cell, Table
from mcctl.sizes import human
from mcctl.submit_options import (
    REPLICAS,
    Ack,
    Allow,
    BucketCopy,
    BwLimit,
    DatasetName,
    Exclude,
    Include,
    MaxUsd,
    Near,
    Origin,
    PipelineFile,
    Replicas,
    Source,
    Spread,
    Strict,
    origin,
    spec,
)
from multicloud.client import Client
from multicloud.v1 import job_pb2
from multicloud.v1.job_pb2_grpc import JobServiceStub

PLAN_S_MAX = 60.0  # A node lists a part of the source meanwhile.


def plan(
    source: Source,
    name: DatasetName = "",
    pipeline: PipelineFile = None,
    replicas: Replicas = REPLICAS,
    spread: Spread = None,
    near: Near = "",
    allow: Allow = None,
    ack: Ack = 0,
    bucket_copy: BucketCopy = "",
    include: Include = None,
    exclude: Exclude = None,
    bwlimit: BwLimit = "",
    max_usd: MaxUsd = 0.0,
    strict: Strict = False,
) -> None:
    """What a job would read, write, cost and survive. Nothing runs."""
    found = origin(source)
    planned(
        found,
        spec(
            found,
            name=name,
            pipeline=pipeline,
            replicas=replicas,
            spread=spread,
            near=near,
            allow=allow,
            ack=ack,
            bucket_copy=bucket_copy,
            include=include,
            exclude=exclude,
            bwlimit=bwlimit,
            max_usd=max_usd,
            strict=strict,
        ),
    )


def planned(source: Origin, wanted: job_pb2.JobSpec) -> None:
    """`plan`, and `submit --dry-run`."""
    found = run_async(_planned(source, wanted))
    show.emit(fields(found), screen(found))


async def _planned(source: Origin, wanted: job_pb2.JobSpec) -> job_pb2.PlanJobResponse:
    size = await counted(source.folder, wanted)
    async with reach.client() as client:
        return await ask(client, wanted, size)


async def ask(
    client: Client, wanted: job_pb2.JobSpec, size: job_pb2.CountedSource | None
) -> job_pb2.PlanJobResponse:
    request = job_pb2.PlanJobRequest(spec=wanted, counted=size)
    return await client.stub(JobServiceStub).PlanJob(request, timeout=PLAN_S_MAX)


def fields(found: job_pb2.PlanJobResponse) -> dict[str, Any]:
    """As documented for `mcctl plan -o json`."""
    return {
        "objects": found.objects,
        "bytes": found.bytes,
        "chunks": found.chunks,
        "seconds": round(found.seconds, 1),
        "listing_complete": found.listing_complete,
        "usd": {
            "planned": round(found.cost.planned_usd, 4),
            "prices_of": found.cost.prices_date or None,
        },
        "wan_bytes": borders(found.cost),
        "bucket": bucket(found.cost),
        "targets": [
            {
                "cloud": target.domain.cloud,
                "region": target.domain.region,
                "zone": target.domain.zone,
                "bytes": target.bytes,
            }
            for target in found.targets
        ],
        "readers": list(found.readers),
        "unable": [
            {"node": one.node, "reason": one.reason, "message": one.message} for one in found.unable
        ],
        "survives": survives(found.survival),
    }


def borders(cost: job_pb2.Cost) -> list[dict[str, Any]]:
    """What crosses from cloud to cloud, and its price."""
    return [
        {
            "from": edge.from_cloud,
            "to": edge.to_cloud,
            "bytes": edge.bytes,
            "usd": round(edge.usd, 4),
        }
        for edge in cost.edges
        if edge.from_cloud != edge.to_cloud
    ]


def screen(found: job_pb2.PlanJobResponse) -> list[Block]:
    of = "" if found.listing_complete else " (of the part that was listed)"
    blocks: list[Block] = [
        f"{found.objects} objects, {human(found.bytes)}, {found.chunks} chunks{of}",
        f"{_time(found)}, read by {', '.join(found.readers) or 'nobody yet'}",
        Cell(f"${found.cost.planned_usd:.2f} at prices of {found.cost.prices_date}", "bold"),
    ]
    blocks += [Cell(f"{one.node} cannot read it: {one.message}", "yellow") for one in found.unable]
    if found.targets:
        rows = [
            [t.domain.cloud or "-", t.domain.region or "-", t.domain.zone or "-", human(t.bytes)]
            for t in found.targets
        ]
        blocks.append(Table(("CLOUD", "REGION", "ZONE", ">BYTES"), rows))
    if crossing := borders(found.cost):
        blocks.append(border_table(crossing))
    blocks += bucket_line(found.cost)
    blocks.append(found.survival.sentence or "-")
    return blocks


def bucket(cost: job_pb2.Cost) -> dict[str, Any] | None:
    """The copy in a bucket, and its price."""
    if not cost.HasField("bucket"):
        return None
    found = cost.bucket
    return {
        "uri": found.uri,
        "bytes": found.stored_bytes,
        "puts": found.puts,
        "puts_usd": round(found.puts_usd, 4),
        "gets_a_month": found.gets_a_month,
        "usd_a_month": round(found.usd_a_month, 4),
    }


def bucket_line(cost: job_pb2.Cost) -> list[Block]:
    if not cost.HasField("bucket"):
        return []
    found = cost.bucket
    stored = f"{human(found.stored_bytes)} in {found.uri}: ${found.usd_a_month:.2f} a month"
    return [f"{stored}, {found.puts} puts for ${found.puts_usd:.2f}"]


def _time(found: job_pb2.PlanJobResponse) -> str:
    if not found.seconds:
        return "how long is not known: no job of some size was done here yet"
    return f"about {clock(found.seconds)} by the pace of jobs lately"


def border_table(crossing: list[dict[str, Any]]) -> Table:
    rows = [
        [edge["from"], edge["to"], human(edge["bytes"]), f"{edge['usd']:.2f}"] for edge in crossing
    ]
    return Table(("FROM", "TO", ">BYTES", ">USD"), rows)
