"""The journal of a volume: what was decided, in numbered objects that are put if absent.

So two daemons can never both go on: the number that one has taken is refused to the other, which
learns at its next word, and before it deletes anything, that the volume is no longer its own. What
several have to say at once is one object.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from multicloud.errors import McError
from nodeagent.clouds.contract import Bucket, Object
from nodeagent.store.bucket import records
from nodeagent.store.bucket.layout import Keys, number_of
from nodeagent.store.bucket.records import Record, State

ENTRIES_MAX = 64  # So many objects since the last state are too many to read at each start.
ENTRY_BYTES_MAX = 64 << 20
AT_ONCE = 8


@dataclass(slots=True)
class _Batch:
    records: list[Record] = field(default_factory=list)
    done: bool = False
    failed: McError | None = None


class Journal:
    def __init__(self, bucket: Bucket, keys: Keys, session: str) -> None:
        self.state = State()
        self._bucket, self._keys, self._session = bucket, keys, session
        self._last = self._summed = 0  # Numbers of the last entry, and of the last state.
        self._batch = _Batch()
        self._lock = asyncio.Lock()

    async def load(self) -> None:
        """Reads all of it again."""
        keys = self._keys
        summaries = [number async for number, _ in self._numbered(keys.state)]
        self.state, self._summed = State(), max(summaries, default=0)
        if self._summed:
            _, said = await self._read(keys.summary(self._summed))
            self._hear(keys.summary(self._summed), said)
        after = keys.entry(self._summed) if self._summed else ""
        found = [item async for item in self._numbered(keys.journal, after)]
        self._last = self._summed
        for at in range(0, len(found), AT_ONCE):
            some = found[at : at + AT_ONCE]
            told = await asyncio.gather(*(self._read(entry.key) for _, entry in some))
            for (number, entry), (_, said) in zip(some, told, strict=True):
                if number != self._last + 1:
                    missing = keys.entry(self._last + 1)
                    raise McError("VOLUME_WRONG", f"{missing} is missing: its journal has a gap")
                self._hear(entry.key, said)
                self._last = number

    async def own(self, record: Record) -> None:
        """The first word of a start; VOLUME_WRONG when another daemon was faster."""
        number = self._last + 1
        try:
            await self._put(self._keys.entry(number), [record])
        except McError as error:
            if error.reason != "ALREADY_EXISTS":
                raise
            if (await self._read(self._keys.entry(number)))[0] != self._session:
                raise McError("VOLUME_WRONG", "another daemon begins to serve it now") from error
        self._last = number
        self.state.hear(record)

    async def write(self, said: Sequence[Record]) -> None:
        """Returns when it is durable. VOLUME_FAILED when the volume is another daemon's by now."""
        batch = self._batch
        batch.records += said
        async with self._lock:
            if batch.failed is not None:
                raise batch.failed
            if batch.done:
                return
            self._batch = _Batch()
            try:
                await self._entry(batch.records)
            except McError as error:
                batch.failed = error
                raise
            batch.done = True
            for record in batch.records:
                self.state.hear(record)

    async def is_own(self) -> bool:
        """Nobody else has written since."""
        async with self._lock:
            try:
                entry = await self._bucket.head(self._keys.entry(self._last + 1))
            except McError as error:
                if error.reason != "NOT_FOUND":
                    raise
                return True
            return (await self._read(entry.key))[0] == self._session

    async def shorten(self) -> None:
        """Sums it up, where it has become long, and deletes what was summed up."""
        if self._last - self._summed < ENTRIES_MAX:
            return
        async with self._lock:
            number, said = self._last, list(self.state.records())
            before = self._summed
        await self._put(self._keys.summary(number), said)
        self._summed = number
        keep = self._keys.summary(number)
        old = [e async for _, e in self._numbered(self._keys.state) if e.key < keep]
        for entry in old:
            await self._bucket.delete(entry.key)
        # Whoever served the volume before and does not know that it is over writes next where the
        # next owner's first word stands: it must stand there for ever.
        for gone in range(before + 1, number + 1):
            if not await self._is_of_owner(gone):
                await self._bucket.delete(self._keys.entry(gone))

    async def _is_of_owner(self, number: int) -> bool:
        try:
            _, said = await self._read(self._keys.entry(number))
        except McError as error:
            if error.reason != "NOT_FOUND":
                raise
            return False
        return any(record[0] == "own" for record in said)

    async def _entry(self, said: list[Record]) -> None:
        while True:
            number = self._last + 1
            key = self._keys.entry(number)
            try:
                await self._put(key, said)
            except McError as error:
                if error.reason != "ALREADY_EXISTS":
                    raise
                session, _ = await self._read(key)
                if session != self._session:
                    raise McError(
                        "VOLUME_FAILED",
                        "another daemon serves this volume now",
                        next="remove the volume from the configuration of one of the two",
                    ) from error
                self._last = number  # A word of ours of which no answer came.
                continue
            self._last = number
            return

    def _hear(self, key: str, said: list[Record]) -> None:
        try:
            for record in said:
                self.state.hear(record)
        except (ValueError, TypeError) as error:
            why = f"{key} says what this release does not know: {error}"
            next_ = "run the release that wrote it, or a newer one"
            raise McError("UNSUPPORTED", why, next=next_) from error

    async def _put(self, key: str, said: list[Record]) -> None:
        data = records.encode(self._session, said)
        await self._bucket.put(key, whole(data), len(data), absent=True)

    async def _read(self, key: str) -> tuple[str, list[Record]]:
        return records.decode(key, await read_whole(self._bucket, key))

    async def _numbered(self, folder: str, after: str = "") -> AsyncIterator[tuple[int, Object]]:
        async for found in listed(self._bucket, folder, after):
            if (number := number_of(found.key)) is not None:
                yield number, found


async def whole(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def read_whole(bucket: Bucket, key: str) -> bytes:
    """A small object."""
    found = await bucket.head(key)
    if found.size_bytes > ENTRY_BYTES_MAX:
        raise McError("VOLUME_WRONG", f"{key} has {found.size_bytes} bytes: no node wrote that")
    return b"".join([part async for part in bucket.read(key, found.pin, 0, found.size_bytes)])


async def listed(bucket: Bucket, prefix: str, after: str = "") -> AsyncIterator[Object]:
    cursor = ""
    while True:
        page = await bucket.page(prefix, cursor, after)
        for found in page.objects:
            yield found
        cursor = page.cursor
        if not cursor:
            return
