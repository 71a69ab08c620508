"""What became of a chunk on a node, and the book in which each node of a put stands just once."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from multicloud.errors import REASONS, McError
from multicloud.v1 import chunk_pb2, common_pb2

SAID_CHARS_MAX = 512  # Of another node's words about why it failed.


@dataclass(frozen=True, slots=True)
class Fact:
    """Durable on a volume of that node, or the error that kept it from that."""

    node: str
    chunk_id: bytes = b""
    volume: str = ""
    already: bool = False  # It was there before this put.
    error: McError | None = None

    @property
    def outcome(self) -> str:
        if self.error:
            return "failed"
        return "already_here" if self.already else "stored"


def to_message(fact: Fact) -> chunk_pb2.PutChunkResponse:
    copy = common_pb2.Copy(chunk_id=fact.chunk_id, node=fact.node, volume=fact.volume)
    if fact.error:
        return chunk_pb2.PutChunkResponse(failed=_failed(fact.node, fact.error))
    if fact.already:
        return chunk_pb2.PutChunkResponse(already_here=chunk_pb2.AlreadyHere(copy=copy))
    return chunk_pb2.PutChunkResponse(stored=chunk_pb2.Stored(copy=copy))


def to_push_message(fact: Fact) -> chunk_pb2.PushChunkResponse:
    said = to_message(fact)
    which = said.WhichOneof("part")
    if which == "failed":
        return chunk_pb2.PushChunkResponse(failed=said.failed)
    if which == "already_here":
        return chunk_pb2.PushChunkResponse(already_here=said.already_here)
    return chunk_pb2.PushChunkResponse(stored=said.stored)


def from_message(said: chunk_pb2.PutChunkResponse | chunk_pb2.PushChunkResponse) -> Fact | None:
    """None when it holds no fact."""
    which = said.WhichOneof("part")
    if which == "stored":
        return _copy(said.stored.copy, already=False)
    if which == "already_here":
        return _copy(said.already_here.copy, already=True)
    if which == "failed":
        return Fact(said.failed.node, error=_error(said.failed))
    return None


def _copy(copy: common_pb2.Copy, *, already: bool) -> Fact:
    return Fact(copy.node, copy.chunk_id, copy.volume, already)


def _failed(node: str, error: McError) -> chunk_pb2.Failed:
    return chunk_pb2.Failed(
        node=node,
        reason=error.reason,
        message=error.message[:SAID_CHARS_MAX],
        retry_after_ms=int((error.retry_after_s or 0) * 1000),
    )


def _error(failed: chunk_pb2.Failed) -> McError:
    # A newer node may have reasons that this one does not know.
    reason = failed.reason if failed.reason in REASONS else "FAILED"
    after_s = failed.retry_after_ms / 1000 or None
    return McError(reason, failed.message[:SAID_CHARS_MAX], retry_after_s=after_s)


class Ledger:
    """Each node's one final fact: the first word counts, whatever is said twice or of others."""

    def __init__(self, nodes: Iterable[str], told: Callable[[Fact], None]) -> None:
        self._open = set(nodes)
        self._told = told

    @property
    def open(self) -> frozenset[str]:
        """Nodes without a fact."""
        return frozenset(self._open)

    def settle(self, fact: Fact) -> None:
        if fact.node in self._open:
            self._open.discard(fact.node)
            self._told(fact)

    def fail(self, node: str, error: McError) -> None:
        self.settle(Fact(node, error=error))

    def fail_beyond(self, node: str, beyond: Iterable[str], error: McError) -> None:
        """The way to `node` broke: of those that it was to pass the chunk to, nothing is known."""
        self.fail(node, error)
        for other in beyond:
            said = f"no word of it came through {node}, which failed: {error}"
            self.fail(other, McError("UNREACHABLE", said))
