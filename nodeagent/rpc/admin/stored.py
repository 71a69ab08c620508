"""What is wrong with the volumes and chunks of a node, by what it says of itself."""

from collections.abc import Iterator

from multicloud.v1 import admin_pb2, common_pb2

_VOLUMES = {
    common_pb2.VOLUME_STATE_FULL: (
        "NO_ROOM",
        "has no room for chunks",
        "free room on its disk, add a volume, or add nodes; reads and deletes go on",
    ),
    common_pb2.VOLUME_STATE_READ_ONLY: (
        "VOLUME_READ_ONLY",
        "cannot be written",
        "mount it writable, then restart nodeagentd; reads go on",
    ),
    common_pb2.VOLUME_STATE_FAILED: (
        "VOLUME_FAILED",
        "has failed",
        "look at the disk with `dmesg`, then restart nodeagentd; other copies serve meanwhile",
    ),
}


_BUCKETS = {
    common_pb2.VOLUME_STATE_FULL: (
        "NO_ROOM",
        "has used up its quota",
        "raise quota_bytes of this volume, or remove versions; reads and deletes go on",
    ),
    common_pb2.VOLUME_STATE_READ_ONLY: (
        "VOLUME_READ_ONLY",
        "cannot be written now",
        "the last column says what its cloud refused; it is asked again by itself",
    ),
    common_pb2.VOLUME_STATE_FAILED: (
        "VOLUME_FAILED",
        "is not served",
        "the last column says why; it is tried again by itself",
    ),
}


def stored_problems(facts: common_pb2.NodeFacts) -> Iterator[admin_pb2.Problem]:
    name = facts.name
    for volume in facts.volumes:
        words = _BUCKETS if volume.bucket.uri else _VOLUMES
        if volume.state in words:
            code, what, remedy = words[volume.state]
            said = f"volume {volume.bucket.uri or volume.uuid} of {name} {what}"
            yield admin_pb2.Problem(
                code=code, what=said, next=f"`mcctl node show {name}`: {remedy}"
            )
    if facts.lost:
        yield admin_pb2.Problem(
            code="CHUNK_LOST",
            what=f"of {_chunks(facts.lost)} that {name} had, no good copy was found anywhere",
            next=f"start the nodes that are away, one may have a copy; then `mcctl doctor {name}`",
        )
    if facts.damaged > facts.lost:
        yield admin_pb2.Problem(
            code="DAMAGE",
            what=f"{_chunks(facts.damaged - facts.lost)} of {name} are damaged and being repaired",
            next=f"it goes on by itself; `mcctl doctor {name}` tells what stands in the way",
        )


def _chunks(count: int) -> str:
    return f"{count} chunk{'' if count == 1 else 's'}"
