"""The tree of nodes that a put is passed along: its bounds, and who is in it."""

from collections.abc import Iterator, Sequence

from multicloud.errors import McError
from multicloud.v1 import chunk_pb2

NODES_MAX = 16  # More copies than any policy asks for; also bounds how deep it is.


def nodes_of(trees: Sequence[chunk_pb2.PutTree]) -> Iterator[str]:
    for tree in trees:
        yield tree.node
        yield from nodes_of(tree.children)


def check_trees(trees: Sequence[chunk_pb2.PutTree], own: str, sender: str = "") -> tuple[str, ...]:
    """The nodes of a put's tree, each once, and neither this one nor the one that sends."""
    found: list[str] = []
    for node in nodes_of(trees):
        if not node:
            raise _wrong("a node of its tree has no id")
        if node in (own, sender):
            raise _wrong(f"node {node} is its own target")
        if node in found:
            raise _wrong(f"node {node} stands twice in its tree")
        found.append(node)
        if len(found) > NODES_MAX:
            raise _wrong(f"its tree has more than {NODES_MAX} nodes")
    return tuple(found)


def _wrong(why: str) -> McError:
    said = f"this chunk is not passed on: {why}"
    return McError("BAD_REQUEST", said, next="name each node that is to store it once")
