"""What the copy in a bucket costs, as plans and receipts say it."""

from collections.abc import Sequence

from coordinator.bucket_prices import bucket_costs
from coordinator.placement import Election
from multicloud.v1 import job_pb2


def planned(
    elections: Sequence[Election], chunks: int, size_bytes: int
) -> job_pb2.BucketCost | None:
    """None where none is wanted, or none can be had."""
    seats = (seat.site for election in elections for seat in election.targets)
    site = next((site for site in seats if site.bucket), None)
    return bucket_cost(site.bucket, site.domain.cloud, chunks, size_bytes) if site else None


def bucket_cost(uri: str, cloud: str, chunks: int, size_bytes: int) -> job_pb2.BucketCost:
    costs = bucket_costs(cloud, chunks, size_bytes)
    return job_pb2.BucketCost(
        uri=uri,
        cloud=cloud,
        stored_bytes=size_bytes,
        puts=costs.puts,
        puts_usd=costs.puts_usd,
        gets_a_month=costs.gets_a_month,
        usd_a_month=costs.usd_a_month,
    )


def told(planned: job_pb2.Cost, counts: job_pb2.JobCounts, cost: job_pb2.Cost) -> None:
    """Of what is there now, in the bucket that was planned for."""
    if planned.HasField("bucket"):
        found = planned.bucket
        made = bucket_cost(found.uri, found.cloud, counts.chunks_safe, counts.bytes_sealed)
        cost.bucket.CopyFrom(made)
