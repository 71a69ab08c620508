"""Keeps this node's copy up with the others': a greeting tells what the other side has, and what is
missing here is fetched. Whoever has news greets its neighbours at once.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from coordinator.council.registers import State
from multicloud.errors import McError
from multicloud.v1 import peer_pb2
from nodeagent.council.copy import Copy
from nodeagent.council.proposing import Spawn

_log = structlog.stdlib.get_logger(__name__)
NEWS_EVERY_S = 0.3  # However much is decided, neighbours are greeted no more often for it.
FETCH_S_MAX = 30.0


class Others(Protocol):
    def changes(self, node: str, after: int, timeout_s: float) -> AsyncIterator[tuple[str, State]]:
        """What changed in that node's copy since; McError when it cannot be asked."""
        ...


@dataclass(slots=True)
class Pulling:
    copy: Copy
    others: Others
    spawn: Spawn
    hurry: Callable[[], None]  # Greets the neighbours.
    epoch_heard: int = 0
    heard_anyone: bool = False
    # Node to its copy's id and how far that is known here.
    _marks: dict[str, tuple[str, int]] = field(default_factory=dict)
    _busy: set[str] = field(default_factory=set)

    def heard(self, node: str, digest: peer_pb2.CopyDigest) -> None:
        """What a greeting said of the other side's copy."""
        if not digest.copy:
            return
        self.heard_anyone = True
        self.epoch_heard = max(self.epoch_heard, digest.epoch)
        if digest.hash == self.copy.digest().hash:
            self._marks[node] = (digest.copy, digest.sequence)
        elif self._known(node, digest) < digest.sequence and node not in self._busy:
            self._busy.add(node)
            self.spawn(self._fetch(node, digest))

    def _known(self, node: str, digest: peer_pb2.CopyDigest) -> int:
        id_, sequence = self._marks.get(node, ("", 0))
        return sequence if id_ == digest.copy and sequence <= digest.sequence else 0

    async def _fetch(self, node: str, digest: peer_pb2.CopyDigest) -> None:
        try:
            after = self._known(node, digest)
            async for key, state in self.others.changes(node, after, FETCH_S_MAX):
                self.copy.put(key, state)
            self._marks[node] = (digest.copy, digest.sequence)
        except McError as error:  # The next greeting asks again.
            _log.debug("council_copy_not_fetched", node=node, why=error.message)
        finally:
            self._busy.discard(node)

    async def run(self) -> None:
        """Tells news, until it is cancelled."""
        told = self.copy.sequence
        async for _ in self.copy.changes():
            if self.copy.sequence > told:
                told = self.copy.sequence
                self.hurry()
                await asyncio.sleep(NEWS_EVERY_S)
