"""A store in a bucket: the contract's promises by objects that are written once and never changed.

Chunks are objects; pins, trash and evidence are words of the journal. Trash is a word only, so a
chunk is moved nowhere; an object is deleted after the journal has said so, and nobody reads it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from uuid import uuid4

from multicloud.errors import McError
from nodeagent.clouds.contract import Bucket
from nodeagent.store import refusals
from nodeagent.store.bucket import records
from nodeagent.store.bucket.layout import Keys
from nodeagent.store.bucket.opening import Claim, Opened, open_volume
from nodeagent.store.bucket.put import BufferedPut, StreamedPut
from nodeagent.store.bucket.reading import BucketReading
from nodeagent.store.bucket.volume import BucketVolume
from nodeagent.store.contract import (
    FRESH_S,
    Damaged,
    Evidence,
    Health,
    Held,
    Pin,
    Put,
    Reading,
    Trashed,
    Verified,
)
from nodeagent.store.local.index import Index

PAGE = 512
ASKED_AT_ONCE = 16
BUFFERED_BYTES_MAX = 128 << 20  # Of puts whose chunk is not known before its end.


class BucketStore:
    def __init__(self, opened: Opened, bytes_total: int, clock: Callable[[], float]) -> None:
        self._volume = BucketVolume(opened, bytes_total, clock)
        self._table = opened.table
        self._lost = [(held, "its object is gone since the last start") for held in opened.lost]

    @classmethod
    async def open(
        cls,
        bucket: Bucket,
        prefix: str,
        *,
        node: str,
        bytes_total: int,
        index: Callable[[str], Index],
        expected: str = "",
        adopt_from: str = "",
        clock: Callable[[], float] = time.time,
        new_uuid: Callable[[], str] = lambda: str(uuid4()),
    ) -> "BucketStore":
        """The volume there, a new one where there is none and none is `expected`.

        `index` gives the cache for a volume's uuid. Whoever served it before, as this node or as
        `adopt_from`, changes nothing there any more once this returns.
        """
        claim = Claim(node, new_uuid(), expected, adopt_from)
        opened = await open_volume(
            bucket, Keys(prefix), claim, index=index, new_uuid=new_uuid, clock=clock
        )
        return cls(opened, bytes_total, clock)

    @property
    def volume(self) -> str:
        return self._volume.uuid

    def health(self) -> Health:
        condition, table = self._volume.condition, self._table
        state, why = condition.shown
        said = (why, table.foreign_words(), self._volume.index.fault)
        return Health(
            state,
            "; ".join(one for one in said if one),
            len(table),
            table.bytes_living,
            table.bytes_trash,
            condition.bytes_free,
            condition.bytes_total,
            len(table.evidence()),
            table.oldest_check_unix_s,
        )

    def on_damage(self, callback: Damaged) -> None:
        self._volume.callbacks.append(callback)
        for held, why in self._lost:
            callback(held, why)

    async def put(self, file_bytes_max: int, chunk_id: bytes = b"") -> Put:
        """With an id `file_bytes_max` is the exact size, and the bytes stream to the cloud."""
        volume = self._volume
        waiting = volume.buffered_bytes
        if not chunk_id and waiting and waiting + file_bytes_max > BUFFERED_BYTES_MAX:
            said = f"{waiting} bytes wait for volume {volume.uuid} already"
            raise McError("TOO_BUSY", said, retry_after_s=1.0)
        volume.condition.reserve(file_bytes_max)
        if not chunk_id:
            volume.buffered_bytes += file_bytes_max
            return BufferedPut(volume, file_bytes_max)
        turn = volume.objects.free_turn(chunk_id)
        return StreamedPut(
            volume, chunk_id, file_bytes_max, turn, volume.keys.chunk(chunk_id, turn)
        )

    async def read(self, chunk_id: bytes) -> Reading:
        file, held = await self._volume.open(chunk_id)
        try:
            envelope = await file.envelope()
        except McError as error:
            file.close()
            raise await self._volume.failed(file, held, error) from error
        except BaseException:
            file.close()
            raise
        return BucketReading(file, held, envelope, self._volume.failed)

    async def find(self, chunk_ids: Sequence[bytes]) -> list[Held]:
        found = (self._table.living(chunk_id) for chunk_id in chunk_ids)
        return [held for held in found if held is not None]

    async def have(
        self, chunk_ids: Sequence[bytes], pin: Pin, fresh_s: float = FRESH_S
    ) -> list[Held]:
        asked = list(dict.fromkeys(chunk_ids))
        limit = asyncio.Semaphore(ASKED_AT_ONCE)

        async def one(chunk_id: bytes) -> Held | McError | None:
            async with limit:
                try:
                    return await self._hold(chunk_id, pin, fresh_s)
                except McError as error:
                    return error

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(chunk_id)) for chunk_id in asked]
        found = [task.result() for task in tasks]
        for error in found:
            if isinstance(error, McError):
                raise error
        return [held for held in found if isinstance(held, Held)]

    async def verify(self, chunk_id: bytes, nonce: bytes = b"") -> Verified:
        reading = await self.read(chunk_id)
        try:
            proof = refusals.Proof(nonce)
            proof.add(reading.envelope.header)
            async for frame in reading.frames():
                proof.add(frame)
            proof.add(reading.envelope.trailer)
        finally:
            await reading.close()
        held = self._table.checked(reading.held, self._volume.clock())
        if self._table.living(chunk_id) is held:
            self._volume.index.set(held)
        return Verified(held, proof.digest())

    async def unpin(self, holder: str) -> int:
        self._volume.condition.demand_writable()
        ended = self._volume.journal.state.pins.count(holder)
        if ended:
            await self._volume.say(records.unpin(holder))
        return ended

    async def pins(self, chunk_id: bytes) -> Sequence[Pin]:
        return self._volume.journal.state.pins.of(chunk_id, self._volume.clock())

    async def trash(self, chunk_id: bytes, why: str) -> bool:
        self._volume.condition.demand_writable()
        async with self._volume.latches.hold(chunk_id):
            held = self._table.living(chunk_id)
            if held is None:
                if self._table.binned(chunk_id) is None:
                    raise refusals.not_found(chunk_id, self.volume)
                return True
            if await self.pins(chunk_id):
                return False
            await self._volume.trash(held, why)
            return True

    async def revive(self, chunk_id: bytes) -> Held:
        async with self._volume.latches.hold(chunk_id):
            return await self._volume.revive(chunk_id)

    async def purge(self, chunk_id: bytes) -> int:
        self._volume.condition.demand_writable()
        async with self._volume.latches.hold(chunk_id):
            binned = self._table.binned(chunk_id)
            if binned is None:
                return 0
            if await self.pins(chunk_id):
                raise refusals.pinned(chunk_id, self.volume)
            await self._volume.purge(binned)
        await self._volume.bury()
        return binned.held.file_bytes

    async def list(self, after: bytes = b"") -> AsyncIterator[Held]:
        while page := self._table.after(after, PAGE):
            for held in page:
                yield held
            after = page[-1].chunk_id

    async def stalest(self, count: int) -> Sequence[Held]:
        return self._table.stalest(count)

    async def trashed(self) -> Sequence[Trashed]:
        return [Trashed(one.held, one.trashed_unix_s, one.why) for one in self._table.trash()]

    async def evidence(self) -> Sequence[Evidence]:
        return self._table.evidence()

    async def discard(self, name: str) -> None:
        self._volume.condition.demand_writable()
        if name not in self._volume.journal.state.evidence:
            raise McError("NOT_FOUND", f"volume {self.volume} has no evidence {name}")
        await self._volume.say(records.discard(name))
        self._table.drop(name)
        await self._volume.bury()

    async def tend(self) -> None:
        """To be called every minute or so: asks the cloud again, deletes, sums up, forgets."""
        await self._volume.tend()

    async def close(self) -> None:
        """The bucket belongs to whoever gave it."""
        await asyncio.to_thread(self._volume.index.close)

    async def _hold(self, chunk_id: bytes, pin: Pin, fresh_s: float) -> Held | None:
        """Pinned, when it is good."""
        volume, binned = self._volume, self._table.binned(chunk_id)
        here = self._table.living(chunk_id) or (binned.held if binned else None)
        if here is None:
            return None
        try:
            if not volume.is_fresh(here, fresh_s):
                await self.verify(chunk_id)
            elif not await volume.stands(here):
                return None
        except McError as error:
            if error.reason not in ("DAMAGE", "NOT_FOUND"):
                raise
            return None
        volume.condition.demand_writable()
        async with volume.latches.hold(chunk_id):
            if self._table.binned(chunk_id) is not None:
                await volume.revive(chunk_id)
            held = self._table.living(chunk_id)
            if held is not None:
                await volume.say(records.pin(chunk_id, pin))
            return held
