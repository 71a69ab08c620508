"""The SDK: datasets for programs, the generated API, a pinned client, the words of errors.

import multicloud

with multicloud.open("mc://corpus@1/train/a.jsonl") as file:
    first = file.readline()
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from multicloud.errors import McError

if TYPE_CHECKING:  # gRPC comes with the first use: `import multicloud` stays quick.
    from multicloud.async_cluster import AsyncCluster
    from multicloud.cluster import Cluster
    from multicloud.opened import OpenFile

__version__ = "0.1.0"
__all__ = ["McError", "__version__", "connect", "connect_async", "open"]


def connect(context: str | None = None, nodes: Sequence[str] = ()) -> "Cluster":
    """The cluster of a context of this account; without one, of the current context.

    `nodes` (ids, names or addresses) are asked in their order; else those that the context knows.
    Nothing is dialled yet.
    """
    from multicloud.cluster import Cluster

    return Cluster(context, nodes)


def connect_async(context: str | None = None, nodes: Sequence[str] = ()) -> "AsyncCluster":
    """The same for programs with an event loop; use it with `async with`."""
    from multicloud.async_cluster import AsyncCluster

    return AsyncCluster(context, nodes)


def open(where: str, context: str | None = None) -> "OpenFile":
    """A file of a dataset, by `mc://name@version/path`, as `open(path, "rb")` would give it."""
    return connect(context).open(where)
