"""Heads of peers' audit logs, kept on this node's disk so that no peer can cut its log unseen.

Per node: the newest ones, older ones ever further apart, and any that contradict each other.
"""

import asyncio
import base64
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import structlog
from google.protobuf.message import DecodeError

from identity.heads import verify_head
from identity.names import is_node_id
from multicloud.errors import McError
from multicloud.v1.peer_pb2 import AuditHead, TrustBundle

HEADS_PER_NODE_MAX = 64
NODES_MAX = 1024

_log = structlog.stdlib.get_logger(__name__)


class HeadStore:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._by_node: dict[str, list[AuditHead]] | None = None
        self._lock = threading.Lock()  # Held over disk: only threads of the pool take it.

    async def keep(self, head: AuditHead, trust: TrustBundle) -> None:
        """Durable when it returns. UNTRUSTED when the head is not the node's own."""
        known = (self._by_node or {}).get(head.node, ())
        if any(_same(head, other) for other in known):
            return
        await asyncio.to_thread(self._keep, head, trust)

    async def heads(self, node: str = "") -> list[AuditHead]:
        """All that are kept, or those of one node; oldest sequence first."""
        return await asyncio.to_thread(self._heads, node)

    def _heads(self, node: str) -> list[AuditHead]:
        with self._lock:
            kept = self._loaded()
            return [h for name, heads in kept.items() if node in ("", name) for h in heads]

    def _keep(self, head: AuditHead, trust: TrustBundle) -> None:
        verify_head(head, trust)  # After this, its node is 16 hex digits and may name a file.
        with self._lock:
            kept = self._loaded()
            before = kept.get(head.node, [])
            if any(_same(head, other) for other in before):
                return
            if not before and len(kept) >= NODES_MAX:
                raise McError("TOO_BUSY", f"heads of {NODES_MAX} nodes are kept already")
            if before and head.sequence <= before[-1].sequence and _newer(head, before[-1]):
                _log.error("audit_log_of_peer_went_back", peer=head.node, sequence=head.sequence)
            after = thin(sorted([*before, head], key=lambda h: (h.sequence, h.unix_ms)))
            self._save(head.node, after)
            self._by_node = {**kept, head.node: after}

    def _loaded(self) -> dict[str, list[AuditHead]]:
        if self._by_node is None:
            files = sorted(self.folder.glob("*.heads")) if self.folder.is_dir() else []
            named = [path for path in files if is_node_id(path.stem)]
            self._by_node = {path.stem: _read(path) for path in named[:NODES_MAX]}
        return self._by_node

    def _save(self, node: str, heads: Sequence[AuditHead]) -> None:
        path, fresh = self.folder / f"{node}.heads", self.folder / f"{node}.fresh"
        text = b"".join(base64.b64encode(head.SerializeToString()) + b"\n" for head in heads)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        except OSError as error:
            raise McError("AUDIT_UNWRITABLE", f"the head of {node} is not kept: {error}") from error


def thin(heads: Sequence[AuditHead]) -> list[AuditHead]:
    """At most HEADS_PER_NODE_MAX of them, given in order of sequence.

    The ones that go are closest to their neighbours, measured by their age; a head that
    contradicts the order of time is evidence and goes only when there is nothing else.
    """
    kept = list(heads)
    while len(kept) > HEADS_PER_NODE_MAX:
        newest = kept[-1].sequence

        def loss(i: int, newest: int = newest) -> tuple[bool, float]:
            gap = kept[i + 1].sequence - kept[i - 1].sequence
            odd = _newer(kept[i - 1], kept[i]) or _newer(kept[i], kept[i + 1])
            return odd, gap / (newest - kept[i].sequence + 1)

        del kept[min(range(1, len(kept) - 1), key=loss)]
    return kept


def _same(one: AuditHead, other: AuditHead) -> bool:
    return one.sequence == other.sequence and one.hash == other.hash


def _newer(one: AuditHead, other: AuditHead) -> bool:
    return one.unix_ms > other.unix_ms


def _read(path: Path) -> list[AuditHead]:
    """What stands in a file; lines that a disk has damaged are left out and said."""
    heads = []
    for line in path.read_bytes().splitlines()[:HEADS_PER_NODE_MAX]:
        try:
            heads.append(AuditHead.FromString(base64.b64decode(line, validate=True)))
        except (ValueError, DecodeError) as error:
            _log.warning("audit_head_unreadable", file=str(path), why=str(error))
    return heads
