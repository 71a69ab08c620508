"""What `mcctl check` finds of the volumes in buckets that a node serves."""

from collections.abc import Iterator, Sequence

from multicloud.v1 import admin_pb2, common_pb2
from nodeagent.rpc.checks import ERROR, OK, WARNING, finding
from nodeagent.store.bucket.late import LateStore
from nodeagent.store.contract import VolumeState


def buckets(
    name: str, own: common_pb2.Domain, served: Sequence[LateStore]
) -> Iterator[admin_pb2.Finding]:
    for bucket in served:
        yield _bucket(name, own, bucket)


def _bucket(name: str, own: common_pb2.Domain, bucket: LateStore) -> admin_pb2.Finding:
    health, where = bucket.health(), bucket.where
    subject = f"{name} {where.uri}"
    if health.state is not VolumeState.HEALTHY:
        severity = ERROR if health.state is VolumeState.FAILED else WARNING
        what = f"{health.state.value}: {health.why}"
        return finding("BUCKET_UNSERVED", subject, severity, what, "it is tried again by itself")
    if (where.cloud, where.region) != (own.cloud, own.region):
        what = (
            f"it stands in {where.cloud}/{where.region} and the node in {own.cloud}/{own.region}:"
            " every byte that is put, read or checked crosses between them"
        )
        return finding("BUCKET_FAR", subject, WARNING, what, "serve it from a node beside it")
    what = f"{health.chunks} chunks, {health.bytes_free >> 30} GiB left of its quota"
    return finding("BUCKET_OK", subject, OK, what)
