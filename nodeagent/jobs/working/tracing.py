"""What a task tells telemetry: the span of each stage, and which traces are worth keeping."""

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from coordinator.types import NodeId
from nodeagent.jobs.working.sending import Sending
from nodeagent.jobs.working.stages import SEND, Stages

CHUNKS_TOLD_MAX = 8  # Of one task, which makes one as a rule.


class Watcher(Protocol):
    """Telemetry as a worker uses it."""

    def span(
        self, name: str, *, parent: str | None = None, links: Sequence[str] = (), **facts: Any
    ) -> AbstractContextManager[Any]: ...
    def past(
        self, name: str, began_unix_s: float, ended_unix_s: float, *, parent: str = "", **facts: Any
    ) -> str: ...
    def count(self, name: str, n: float = 1, **labels: str) -> None: ...
    def observe(self, name: str, value: float, **labels: str) -> None: ...


class Traces(Protocol):
    """Which traces are worth more than others."""

    def ended(self, trace_id: str, seconds: float, nodes: Collection[NodeId]) -> None:
        """An attempt that went well, over these nodes."""
        ...

    def failed(self, trace_id: str, nodes: Collection[NodeId]) -> None: ...


def tell_stages(watcher: Watcher, span: Any, stages: Stages, sendings: Sequence[Sending]) -> None:
    """Stages take turns many times a second: one span from the first turn to the last, with the
    time that was theirs. Of sending every hop has a span of its own.
    """
    for name, one in stages.of.items():
        if name != SEND:
            watcher.past(
                f"chunk.{name}",
                one.began_unix_s,
                one.ended_unix_s or one.began_unix_s,
                parent=span.traceparent,
                bytes=one.bytes,
                busy_s=round(one.seconds, 6),
            )
    chunks = [s.draft.sealed.chunk_id.hex() for s in sendings if s.draft.sealed is not None]
    if chunks:
        span.fact(chunks=",".join(chunks[:CHUNKS_TOLD_MAX]))


def nodes_of(sendings: Sequence[Sending]) -> set[NodeId]:
    """Whoever had, or was to have, a part in them."""
    last = [done for one in sendings if (done := one.done or one.at_ack) is not None]
    return {
        *(seat.node for done in last for seat in done.election.targets),
        *(copy.node for done in last for copy in done.reached.copies),
        *(failed.node for done in last for failed in done.reached.failures),
    }
