"""The chunks of a volume as objects: which key each has, and reading one with care."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from multicloud.errors import McError
from nodeagent.clouds.contract import Bucket
from nodeagent.core.chunk import envelope as envelopes
from nodeagent.core.chunk.envelope import Envelope
from nodeagent.core.chunk.layout import END, HEAD, HEADER_BYTES_MAX, TRAILER_BYTES_MAX
from nodeagent.store.bucket.layout import Keys
from nodeagent.store.contract import Held


@dataclass(slots=True)
class Kept:
    """The object that a chunk is now. A pin that is outdated costs a look; leaves decide."""

    turn: int
    pin: str


@dataclass(slots=True)
class Objects:
    bucket: Bucket
    keys: Keys
    kept: dict[bytes, Kept] = field(default_factory=dict)  # The living and those in the trash.
    taken: set[str] = field(default_factory=set)  # Other keys that must not be used.
    readers: dict[str, int] = field(default_factory=dict)

    def key(self, chunk_id: bytes) -> str:
        return self.keys.chunk(chunk_id, self.kept[chunk_id].turn)

    def free_turn(self, chunk_id: bytes) -> int:
        kept = self.kept.get(chunk_id)
        turn = kept.turn + 1 if kept is not None else 0
        while self.keys.chunk(chunk_id, turn) in self.taken:
            turn += 1
        return turn

    def take(self, chunk_id: bytes, turn: int, pin: str) -> None:
        """That object is the chunk from now on. The key of one before is not free yet."""
        if chunk_id in self.kept:
            self.taken.add(self.key(chunk_id))
        self.kept[chunk_id] = Kept(turn, pin)

    def drop(self, chunk_id: bytes) -> str:
        """Its key, which is not free again before the object is gone."""
        key = self.key(chunk_id)
        del self.kept[chunk_id]
        self.taken.add(key)
        return key

    def open(self, held: Held) -> "OpenObject":
        return OpenObject(self, held, self.key(held.chunk_id), self.kept[held.chunk_id].pin)


class OpenObject:
    """One chunk's object, which is not deleted before this is closed."""

    def __init__(self, objects: Objects, held: Held, key: str, pin: str) -> None:
        self._objects, self._held, self._key, self._pin = objects, held, key, pin
        self._open = True
        objects.readers[key] = objects.readers.get(key, 0) + 1

    @property
    def key(self) -> str:
        return self._key

    def close(self) -> None:
        if self._open:
            self._open = False
            readers = self._objects.readers
            readers[self._key] -= 1
            if not readers[self._key]:
                del readers[self._key]

    async def envelope(self) -> Envelope:
        """Header and trailer of that chunk, and of no other; else DAMAGE."""
        size = self._held.file_bytes
        head = await self._some(0, min(HEADER_BYTES_MAX, size))
        tail_bytes = min(TRAILER_BYTES_MAX, size)
        tail = await self._some(size - tail_bytes, tail_bytes)
        header = head[: envelopes.header_bytes_of(head[: HEAD.size])]
        trailer = tail[-envelopes.trailer_bytes_of(tail[-END.size :]) :]
        found = envelopes.parse(header, trailer, self._held.chunk_id)
        found.check_file(size)
        return found

    async def frames(
        self, envelope: Envelope, indices: Sequence[int]
    ) -> AsyncGenerator[bytes, None]:
        """Frames in a row, each checked against its leaf."""
        if not indices:
            return
        entries = envelope.entries
        first, last = entries[indices[0]], entries[indices[-1]]
        count = last.offset_bytes + last.sealed_bytes - first.offset_bytes
        data, index = bytearray(), indices[0]
        async with aclosing(self._pieces(first.offset_bytes, count)) as pieces:
            async for piece in pieces:
                data += piece
                while index <= indices[-1] and len(data) >= entries[index].sealed_bytes:
                    frame = bytes(memoryview(data)[: entries[index].sealed_bytes])
                    del data[: len(frame)]
                    envelope.check_frame(index, frame)
                    yield frame
                    index += 1

    async def _some(self, first: int, count: int) -> bytes:
        return b"".join([piece async for piece in self._pieces(first, count)])

    async def _pieces(self, first: int, count: int) -> AsyncGenerator[bytes, None]:
        """Somebody may have written the object anew: its leaves say whether it is still good."""
        bucket, end = self._objects.bucket, first + count
        for last_try in (False, True):
            try:
                async for piece in bucket.read(self._key, self._pin, first, end - first):
                    yield piece
                    first += len(piece)
                return
            except McError as error:
                if error.reason != "CHANGED" or last_try:
                    raise
                await self.look()

    async def look(self) -> None:
        """NOT_FOUND or DAMAGE when no object of its size is there."""
        found = await self._objects.bucket.head(self._key)
        if found.size_bytes != self._held.file_bytes:
            said = f"its object has {found.size_bytes} bytes, not {self._held.file_bytes}"
            raise McError("DAMAGE", said)
        self._pin = found.pin
