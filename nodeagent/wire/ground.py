"""What all streams of data of a node stand on: who it is, how others are reached, its bounds."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import grpc

from coordinator.places import node_of
from nodeagent.wire import budget
from nodeagent.wire.usage import Usage


class Lane(Protocol):
    """Where one stream goes; it is told what the stream moves."""

    @property
    def channel(self) -> grpc.aio.Channel: ...
    @property
    def moved(self) -> Callable[[int], None]: ...


class Links(Protocol):
    """Connections for data, apart from those of the control calls.

    NODE_UNKNOWN when no address of the node is known.
    """

    def bulk(self, node_id: str) -> grpc.aio.Channel:
        """For a call that moves little."""
        ...

    def stream(self, node_id: str) -> AbstractContextManager[Lane]:
        """For a stream of data, as long as it is open."""
        ...


class Limits(budget.Limits, Protocol):
    @property
    def stream_stall_s(self) -> float: ...
    @property
    def reach_s(self) -> float: ...
    @property
    def chunks_per_call_max(self) -> int: ...


class Span(Protocol):
    @property
    def traceparent(self) -> str: ...
    def fact(self, **facts: Any) -> None: ...


class Watcher(Protocol):
    """Telemetry as the wire uses it."""

    def span(
        self,
        name: str,
        *,
        parent: str | None = None,
        kind: Literal["internal", "client"] = "internal",
        links: Sequence[str] = (),
        **facts: Any,
    ) -> AbstractContextManager[Span]: ...
    def past(
        self, name: str, began_unix_s: float, ended_unix_s: float, *, parent: str = "", **facts: Any
    ) -> str: ...
    def count(self, name: str, n: float = 1, **labels: str) -> None: ...
    def observe(self, name: str, value: float, **labels: str) -> None: ...


@dataclass(frozen=True)
class Ground:
    node: str
    links: Links
    budget: budget.Budget
    limits: Callable[[], Limits]
    watcher: Watcher
    cloud_of: Callable[[str], str]  # Of a node, for the metrics; "" when it is not known.
    clock_s: Callable[[], float] = time.monotonic
    clock_unix_s: Callable[[], float] = time.time
    usage: Usage = field(default_factory=Usage)

    def moved(self, direction: Literal["in", "out"], peer: str, size_bytes: int) -> None:
        if size_bytes:
            cloud = self.cloud_of(node_of(peer))
            self.watcher.count("mc.wire.bytes", size_bytes, direction=direction, cloud=cloud)
