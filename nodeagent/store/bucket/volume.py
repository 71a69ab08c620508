"""What all calls of one volume in a bucket share: its journal, its objects, and every move that a
chunk makes between the living, trash, quarantine and the grave.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

from multicloud.errors import McError
from nodeagent.clouds.contract import Object
from nodeagent.core.chunk.envelope import Envelope
from nodeagent.store import refusals
from nodeagent.store.bucket import records
from nodeagent.store.bucket.condition import Condition
from nodeagent.store.bucket.journal import whole
from nodeagent.store.bucket.latches import Latches
from nodeagent.store.bucket.objects import OpenObject
from nodeagent.store.bucket.opening import Opened
from nodeagent.store.bucket.put import Upload
from nodeagent.store.contract import FRESH_S, Committed, Damaged, Evidence, Held, Pin
from nodeagent.store.local.table import Binned

UPLOAD_S_MAX = 24 * 3600.0  # What was begun so long ago will not be finished.


class BucketVolume:
    def __init__(self, opened: Opened, bytes_total: int, clock: Callable[[], float]) -> None:
        self.uuid, self.journal, self.objects = opened.uuid, opened.journal, opened.objects
        self.table, self.index, self.clock = opened.table, opened.index, clock
        self.bucket, self.keys = opened.objects.bucket, opened.objects.keys
        self.condition = Condition(opened.uuid, bytes_total, clock, self._used_bytes)
        self.latches: Latches[bytes] = Latches()
        self.buffered_bytes = 0
        self.callbacks: list[Damaged] = []
        self._gone: list[str] = []  # Deleted, and the journal was not told yet.

    def _used_bytes(self) -> int:
        evidence = sum(one.file_bytes for one in self.table.evidence())
        return self.table.bytes_living + self.table.bytes_trash + evidence

    async def say(self, *said: records.Record) -> None:
        """Durable when it returns."""
        told, self._gone = self._gone, []
        words = [*said, *map(records.gone, told)]
        if not words:
            return
        try:
            await self.journal.write(words)
        except McError as error:
            self._gone += told
            raise self.condition.refused(error) from error
        self.condition.wrote()

    # --- what goes on beside all calls ---

    async def tend(self) -> None:
        """To be called every minute or so: asks the cloud again, deletes, sums up, forgets."""
        try:
            if self.condition.to_try:
                await self.journal.write([])
                self.condition.wrote()
            if not await self.journal.is_own():
                raise self.condition.fail("another daemon serves this volume now")
            await self.bury()
            self.journal.state.pins.forget_over(self.clock())
            await self.journal.shorten()
            await self.bucket.sweep(self.keys.chunks, UPLOAD_S_MAX)
        except McError as error:
            self.condition.refused(error)
        await asyncio.to_thread(self.index.flush)

    async def bury(self) -> None:
        """Deletes what the journal has given up and nobody reads; the rest comes later."""
        for key in sorted(self.journal.state.doomed - self.objects.readers.keys()):
            if key in self._gone:
                continue
            try:
                await self.bucket.delete(key)
            except McError as error:
                self.condition.refused(error)
                return
            self._gone.append(key)
            self.objects.taken.discard(key)

    # --- for puts ---

    async def upload(self, key: str, pieces: AsyncIterator[bytes], size: int) -> Object:
        return await self.bucket.put(key, pieces, size, absent=True)

    async def upload_anywhere(self, envelope: Envelope, data: bytes) -> tuple[int, Object]:
        chunk_id = envelope.chunk_id
        while True:
            turn = self.objects.free_turn(chunk_id)
            key = self.keys.chunk(chunk_id, turn)
            try:
                return turn, await self.upload(key, whole(data), len(data))
            except McError as error:
                try:
                    return turn, await self.found_there(envelope, turn, error)
                except McError as bad:
                    if bad.reason != "DAMAGE":
                        raise
                    self.objects.taken.add(key)

    async def found_there(self, envelope: Envelope, turn: int, error: McError) -> Object:
        """A put of which no answer came has left its object; it is read before it counts."""
        if error.reason != "ALREADY_EXISTS":
            raise self.condition.refused(error)
        key = self.keys.chunk(envelope.chunk_id, turn)
        found = await self.bucket.head(key)
        now = self.clock()
        held = Held(envelope.chunk_id, self.uuid, found.size_bytes, now, now)
        file = OpenObject(self.objects, held, key, found.pin)
        try:
            there = await file.envelope()
            async for _ in file.frames(there, range(len(there.entries))):
                pass
        finally:
            file.close()
        return found

    async def place(self, envelope: Envelope, pin: Pin | None, upload: Upload) -> Committed:
        self.condition.demand_writable()
        chunk_id = envelope.chunk_id
        said = [] if pin is None else [records.pin(chunk_id, pin)]
        seen = self.table.living(chunk_id)
        stands = seen is not None and await self.stands(seen)
        async with self.latches.hold(chunk_id):
            here = self.table.living(chunk_id)
            # One that came since was put a moment ago.
            if here is not None and self.is_fresh(here, FRESH_S) and (stands or here != seen):
                await self.say(*said)
                return Committed(here, already=True)
            turn, made = await upload(envelope)
            kept = chunk_id in self.objects.kept
            before = [records.doom(self.objects.key(chunk_id))] if kept else []
            await self.say(*said, *before)
            now = self.clock()
            held = Held(chunk_id, self.uuid, envelope.file_bytes, now, now)
            self.objects.take(chunk_id, turn, made.pin)
            self.table.unbin(chunk_id)
            self.table.enter(held)
            self.index.set(held)
        if before:
            await self.bury()
        return Committed(held, already=False)

    def give_back(self, file_bytes_max: int, *, buffered: bool = False) -> None:
        self.condition.reserved_bytes -= file_bytes_max
        if buffered:
            self.buffered_bytes -= file_bytes_max

    # --- reading, and what a read that failed means ---

    async def open(self, chunk_id: bytes) -> tuple[OpenObject, Held]:
        held = self.table.living(chunk_id)
        if held is None:
            binned = self.table.binned(chunk_id)
            if binned is None:
                raise refusals.not_found(chunk_id, self.uuid)
            held = binned.held
            if self.condition.is_writable:
                async with self.latches.hold(chunk_id):
                    held = await self.revive(chunk_id)
        return self.objects.open(held), held

    async def failed(self, file: OpenObject, held: Held, error: McError) -> McError:
        """The answer for who asked."""
        if error.reason == "NOT_FOUND":
            if (gone := await self._volume_gone()) is not None:
                return gone
            await self._expel(file, held, "its object is gone", gone=True)
            return refusals.not_found(held.chunk_id, self.uuid, ", its object is gone")
        if error.reason not in ("DAMAGE", "CHANGED"):
            return error
        await self._expel(file, held, error.message, gone=False)
        return refusals.damaged(held.chunk_id, self.uuid, error.message)

    async def _volume_gone(self) -> McError | None:
        """An object that is gone may only mean that all of the bucket is."""
        try:
            await self.bucket.head(self.keys.identity)
        except McError as error:
            if error.reason == "NOT_FOUND":
                return self.condition.fail(f"the volume is gone: {error.message}")
            return error
        return None

    async def _expel(self, file: OpenObject, held: Held, why: str, *, gone: bool) -> None:
        """Out of the living, unless another object has taken its place since."""
        chunk_id = held.chunk_id
        async with self.latches.hold(chunk_id):
            here = self.table.living(chunk_id)
            if here is None or self.objects.key(chunk_id) != file.key:
                return
            if not gone:
                await self._quarantine(chunk_id, file.key, held.file_bytes, why)
            self.table.leave(chunk_id)
            self.index.remove(chunk_id)
            self.objects.drop(chunk_id)
        for callback in self.callbacks:
            callback(here, why)

    async def _quarantine(self, chunk_id: bytes, key: str, file_bytes: int, why: str) -> None:
        now = self.clock()
        unix_ms = int(now * 1000)  # One chunk can be damaged twice within a moment.
        while (name := f"{chunk_id.hex()}.{unix_ms}") in self.journal.state.evidence:
            unix_ms += 1
        aside = records.Aside(chunk_id, key, file_bytes, now, why)
        try:
            await self.say(records.damaged(name, aside))
        except McError:
            return  # It must not be served, whatever else is wrong; the health says what.
        self.table.keep(Evidence(chunk_id, name, file_bytes, now, why))

    async def stands(self, held: Held) -> bool:
        """Its object is there, with its size. A latch of the chunk must not be held."""
        file = self.objects.open(held)
        try:
            await file.look()
        except McError as error:
            failed = await self.failed(file, held, error)
            if failed.reason not in ("NOT_FOUND", "DAMAGE"):
                raise failed from error
            return False
        finally:
            file.close()
        return True

    # --- moves ---

    async def revive(self, chunk_id: bytes) -> Held:
        """The chunk's latch is held."""
        binned = self.table.binned(chunk_id)
        if binned is not None:
            self.condition.demand_writable()
            await self.say(records.revive(chunk_id))
            self.table.unbin(chunk_id)
            self.table.enter(binned.held)
        held = self.table.living(chunk_id)
        if held is None:
            raise refusals.not_found(chunk_id, self.uuid)
        return held

    async def trash(self, held: Held, why: str) -> None:
        """The chunk's latch is held."""
        key, now = self.objects.key(held.chunk_id), self.clock()
        aside = records.Aside(held.chunk_id, key, held.file_bytes, now, why)
        await self.say(records.trash(aside))
        self.table.leave(held.chunk_id)
        self.table.bin(Binned(held, key, now, why))

    async def purge(self, binned: Binned) -> None:
        """The chunk's latch is held."""
        chunk_id = binned.held.chunk_id
        await self.say(records.doom(binned.name))
        self.table.unbin(chunk_id)
        self.index.remove(chunk_id)
        self.objects.drop(chunk_id)

    def is_fresh(self, held: Held, fresh_s: float) -> bool:
        return 0 <= self.clock() - held.verified_unix_s < fresh_s
