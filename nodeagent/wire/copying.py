"""An own volume as a sink: a chunk that passes through this node stays here too."""

import asyncio
from contextlib import suppress

from multicloud.errors import McError
from nodeagent.store.contract import Pin, Put
from nodeagent.wire.facts import Fact, Ledger
from nodeagent.wire.flow import Branch
from nodeagent.wire.ground import Ground
from nodeagent.wire.parts import Kind

ABORT_S_MAX = 1.0


async def give_up(put: Put) -> None:
    """Leaves nothing behind; after a commit it does nothing.

    A disk that hangs is not waited for: the store cleans up when the disk answers again.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(ABORT_S_MAX):
            await put.abort()


class OwnCopy:
    """Writes parts that were checked before, and commits them with their pin."""

    def __init__(
        self, ground: Ground, put: Put, pin: Pin | None, ledger: Ledger, place: str = ""
    ) -> None:
        self._ground, self._put, self._pin, self._ledger = ground, put, pin, ledger
        self._place = place or ground.node

    async def run(self, branch: Branch) -> None:
        try:
            with self._ground.watcher.span("chunk.store") as span:
                fact = await self._stored(branch)
                span.fact(chunk=fact.chunk_id.hex(), volume=fact.volume)
            self._ledger.settle(fact)
        except McError as error:
            self._ledger.fail(self._place, error)
        finally:
            await give_up(self._put)

    async def _stored(self, branch: Branch) -> Fact:
        stall_s = self._ground.limits().stream_stall_s
        try:
            async for part in branch:
                async with asyncio.timeout(stall_s):
                    await self._put.write(part.data)
                    if part.kind is Kind.TRAILER:
                        assert part.envelope is not None
                        done = await self._put.commit(part.envelope, self._pin)
                        held = done.held
                        return Fact(self._place, held.chunk_id, held.volume, done.already)
        except TimeoutError as error:
            said = f"the volume of {self._place} took no byte for {stall_s:g} s"
            raise McError("STALLED", said) from error
        raise AssertionError("a branch ends with its trailer")
