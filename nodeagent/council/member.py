"""This node as a member of the council: it answers what it is asked, and what an answer rests on is
on its disk before the answer leaves.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from coordinator.council.acceptor import Acceptor
from coordinator.council.registers import Accepted, Answer, Epoch, Request, Seat
from multicloud.errors import McError
from nodeagent.council.memory import MemoryFile, open_memory

_log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class Member:
    file: MemoryFile | None  # None: it is closed.
    _closed: McError | None = None
    _acceptor: Acceptor | None = None
    _last: "Future[None] | None" = None  # Until then, no answer rests on the disk.
    touched: set[str] = field(default_factory=set)  # Registers that were accepted here lately.

    @classmethod
    def open(
        cls, folder: Path, node: str, *, first_start: bool, new_volume: Callable[[], str]
    ) -> "Member":
        """A file that cannot be trusted closes this member; the node goes on without it."""
        try:
            file = open_memory(folder, node, first_start=first_start, new_volume=new_volume)
        except McError as error:
            _log.error("council_closed", why=error.message, next=error.next)
            return cls(None, error)
        return cls(file, None, Acceptor(file.memory))

    @property
    def trouble(self) -> McError | None:
        """Why it answers nothing."""
        return self._closed or (self.file.database.trouble if self.file else None)

    @property
    def seat(self) -> Seat | None:
        """None: it is closed, and has no name to be asked by."""
        return self.file.seat if self.file and not self.trouble else None

    @property
    def epoch(self) -> Epoch:
        return self._acceptor.memory.epoch if self._acceptor else Epoch()

    @property
    def may_found(self) -> bool:
        """It has sat in no council since the node's very first start."""
        file = self.file
        return file is not None and not self.trouble and file.first_start and not self.epoch.number

    def accepted(self) -> Mapping[str, Accepted]:
        """What lies here, decided or not."""
        return self._acceptor.registers() if self._acceptor else {}

    async def answer(self, seat: Seat, request: Request) -> Answer:
        """To what was asked of that seat, and of no other that this node may have had."""
        if self.trouble:
            raise self.trouble
        if self._acceptor is None or self.file is None or seat != self.file.seat:
            said = f"node {seat.node} has lost the memory {seat.volume} that it had in the council"
            remedy = "nothing: the council gives its seat to another, while a majority is there"
            raise McError("NOT_FOUND", said, next=remedy)
        answer, unsaved = self._acceptor.answer(request)
        if unsaved:
            statements = self.file.statements(self._acceptor.memory, unsaved)
            self._last = self.file.database.save(statements)
            self.touched |= self._acceptor.registers().keys() if unsaved.whole else unsaved.keys
        if self._last is not None and not self._last.done():
            # Also an answer that changed nothing may rest on what is being written.
            await asyncio.shield(asyncio.wrap_future(self._last))
        if self.trouble:
            raise self.trouble
        return answer

    def close(self) -> None:
        """Blocks."""
        if self.file:
            self.file.database.close()
