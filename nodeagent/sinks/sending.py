"""One sink on one node: whoever the council named sends, oldest first; the others keep what they
would send, and one of them takes over when that node is lost.

A sender that loses the council goes on: what it sent is on its disk, and shared later. One that is
killed between a sending and its mark leaves an event that comes twice, with the same id.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import structlog

from multicloud.errors import McError
from nodeagent.council.proposing import Watcher
from nodeagent.sinks.contract import Gone, Sink, pause_s
from nodeagent.sinks.outbox import SENT, SHARED, Letter, Outbox
from nodeagent.sinks.standing import SENT_IDS_MAX, WHY_CHARS_MAX, Record, Standing

_log = structlog.stdlib.get_logger(__name__)
LOOK_EVERY_S = 0.5
BATCH = 64


@dataclass(slots=True)
class Sending:
    name: str
    own: str
    sink: Sink
    outbox: Outbox
    standing: Standing
    is_away: Callable[[str], bool]
    clock_unix_s: Callable[[], float]
    watcher: Watcher
    rng: Random = field(default_factory=Random)
    failures: int = 0
    _next_s: float = 0.0

    async def run(self) -> None:
        """Until it is cancelled."""
        try:
            while True:
                try:
                    await self._once()
                except McError as error:  # The council or the disk: what waits goes on waiting.
                    _log.warning("sink_waits", sink=self.name, why=error.message)
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            await self.sink.close()

    async def _once(self) -> None:
        record = self.standing.known(self.name)
        await asyncio.to_thread(self.outbox.mark, self.name, record.sent_ids, SHARED)
        if record.sender != self.own:
            if record.sender and not self.is_away(record.sender):
                return
            record = await self.standing.change(self.name, self._claim)
            if record.sender != self.own:
                return
            _log.info("sink_taken", sink=self.name)
        if not record.disabled_why and asyncio.get_running_loop().time() >= self._next_s:
            await self._send(record)
        await self._share()

    def _claim(self, record: Record) -> bool | None:
        if record.sender and not self.is_away(record.sender):
            return False
        record.sender = self.own
        record.since_unix_ms = record.since_unix_ms or int(self.clock_unix_s() * 1000)
        return None

    async def _send(self, record: Record) -> None:
        since_ms = record.since_unix_ms
        letters = await asyncio.to_thread(self.outbox.waiting, self.name, since_ms, BATCH)
        for letter in letters:
            try:
                await self.sink.send(letter)
            except Gone as gone:
                await self._disabled(str(gone))
                return
            except McError as error:
                await self._failed(error, record)
                return
            await self._sent(letter)
        if letters and record.failing_why:
            await self.standing.change(self.name, _well)

    async def _sent(self, letter: Letter) -> None:
        self.failures = 0
        await asyncio.to_thread(self.outbox.mark, self.name, [letter.id], SENT)
        self.watcher.count("mc.events.sent", outcome="sent")

    async def _failed(self, error: McError, record: Record) -> None:
        self.failures += 1
        wait_s = pause_s(self.failures, self.rng.random(), error.retry_after_s)
        self._next_s = asyncio.get_running_loop().time() + wait_s
        self.watcher.count("mc.events.sent", outcome="failed")
        why = error.message[:WHY_CHARS_MAX]
        _log.warning("sink_failed", sink=self.name, why=why, again_in_s=round(wait_s, 1))
        if record.failing_why:
            return

        def edit(record: Record) -> None:
            record.failing_why = why
            record.failing_since_unix_ms = int(self.clock_unix_s() * 1000)

        await self.standing.change(self.name, edit)

    async def _disabled(self, why: str) -> None:
        self.watcher.count("mc.events.sent", outcome="disabled")
        again = f"mcctl events sinks --enable {self.name}"
        _log.error("sink_disabled", sink=self.name, why=why, next=again)

        def edit(record: Record) -> None:
            record.disabled_why = why[:WHY_CHARS_MAX]

        await self.standing.change(self.name, edit)

    async def _share(self) -> None:
        """The others need not send what was sent."""
        ids = await asyncio.to_thread(self.outbox.unshared, self.name, SENT_IDS_MAX)
        if not ids:
            return

        def edit(record: Record) -> None:
            new = [id_ for id_ in ids if id_ not in set(record.sent_ids)]
            kept = [*record.sent_ids, *new][-SENT_IDS_MAX:]
            del record.sent_ids[:]
            record.sent_ids.extend(kept)
            record.sent += len(new)
            record.last_sent_unix_ms = int(self.clock_unix_s() * 1000)

        await self.standing.change(self.name, edit)
        await asyncio.to_thread(self.outbox.mark, self.name, ids, SHARED)


def _well(record: Record) -> None:
    record.failing_why, record.failing_since_unix_ms = "", 0
