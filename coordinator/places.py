"""Buckets as places for copies. A volume in a bucket is served by a node and fails with the bucket,
so it stands among the members as one more, with a name of its own: NODE/VOLUME.
"""

from coordinator.types import NodeId


def place(node: NodeId, volume: str) -> NodeId:
    return f"{node}/{volume}"


def node_of(place: NodeId) -> NodeId:
    """The node that serves it; of a node that node."""
    return place.partition("/")[0]


def volume_of(place: NodeId) -> str:
    """Empty: it is a node, and stands for its disks."""
    return place.partition("/")[2]


def is_bucket(place: NodeId) -> bool:
    return "/" in place
