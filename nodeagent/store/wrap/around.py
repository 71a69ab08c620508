"""A store that passes every call on to another through one hook: what all wrappers stand on."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

from nodeagent.core.chunk.envelope import Bytes, Envelope
from nodeagent.store.contract import (
    FRESH_S,
    Committed,
    Damaged,
    Evidence,
    Health,
    Held,
    Pin,
    Put,
    Reading,
    Store,
    Trashed,
    Verified,
)

T = TypeVar("T")


class Around:
    """Inherit it and give `around`; `frame` sees each frame that is read."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner

    async def around(self, name: str, call: Callable[[], Awaitable[T]], size_bytes: int = 0) -> T:
        """One call of the contract by its name; `size_bytes` of a put's write."""
        return await call()

    async def frame(self, data: bytes) -> bytes:
        return data

    @property
    def volume(self) -> str:
        return self.inner.volume

    def health(self) -> Health:
        return self.inner.health()

    def on_damage(self, callback: Damaged) -> None:
        self.inner.on_damage(callback)

    async def put(self, file_bytes_max: int, chunk_id: bytes = b"") -> Put:
        put = await self.around("put", lambda: self.inner.put(file_bytes_max, chunk_id))
        return _Put(self, put)

    async def read(self, chunk_id: bytes) -> Reading:
        return _Reading(self, await self.around("read", lambda: self.inner.read(chunk_id)))

    async def find(self, chunk_ids: Sequence[bytes]) -> list[Held]:
        return await self.around("find", lambda: self.inner.find(chunk_ids))

    async def have(
        self, chunk_ids: Sequence[bytes], pin: Pin, fresh_s: float = FRESH_S
    ) -> list[Held]:
        return await self.around("have", lambda: self.inner.have(chunk_ids, pin, fresh_s))

    async def verify(self, chunk_id: bytes, nonce: bytes = b"") -> Verified:
        return await self.around("verify", lambda: self.inner.verify(chunk_id, nonce))

    async def unpin(self, holder: str) -> int:
        return await self.around("unpin", lambda: self.inner.unpin(holder))

    async def pins(self, chunk_id: bytes) -> Sequence[Pin]:
        return await self.around("pins", lambda: self.inner.pins(chunk_id))

    async def trash(self, chunk_id: bytes, why: str) -> bool:
        return await self.around("trash", lambda: self.inner.trash(chunk_id, why))

    async def revive(self, chunk_id: bytes) -> Held:
        return await self.around("revive", lambda: self.inner.revive(chunk_id))

    async def purge(self, chunk_id: bytes) -> int:
        return await self.around("purge", lambda: self.inner.purge(chunk_id))

    def list(self, after: bytes = b"") -> AsyncIterator[Held]:
        return self.inner.list(after)

    async def stalest(self, count: int) -> Sequence[Held]:
        return await self.around("stalest", lambda: self.inner.stalest(count))

    async def trashed(self) -> Sequence[Trashed]:
        return await self.around("trashed", self.inner.trashed)

    async def evidence(self) -> Sequence[Evidence]:
        return await self.around("evidence", self.inner.evidence)

    async def discard(self, name: str) -> None:
        await self.around("discard", lambda: self.inner.discard(name))

    async def close(self) -> None:
        await self.inner.close()


class _Put:
    def __init__(self, store: Around, put: Put) -> None:
        self._store = store
        self._put = put

    async def write(self, data: Bytes) -> None:
        size_bytes = memoryview(data).nbytes
        await self._store.around("write", lambda: self._put.write(data), size_bytes)

    async def commit(self, envelope: Envelope, pin: Pin | None) -> Committed:
        return await self._store.around("commit", lambda: self._put.commit(envelope, pin))

    async def abort(self) -> None:
        await self._put.abort()


class _Reading:
    def __init__(self, store: Around, reading: Reading) -> None:
        self._store = store
        self._reading = reading

    @property
    def held(self) -> Held:
        return self._reading.held

    @property
    def envelope(self) -> Envelope:
        return self._reading.envelope

    async def frames(self, first: int = 0, count: int | None = None) -> AsyncIterator[bytes]:
        async for frame in self._reading.frames(first, count):
            yield await self._store.frame(frame)

    async def close(self) -> None:
        await self._reading.close()
