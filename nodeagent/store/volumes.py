"""All volumes of a node as one store: a chunk goes where most room is and is found where it lies.

A volume that fails is passed over; what the others have is served. What is put here goes to disks:
a bucket is a place of its own, and takes only what is put into it by its name.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import TypeVar

from multicloud.errors import McError
from nodeagent.core.chunk.envelope import Bytes, Envelope
from nodeagent.store.bucket.late import LateStore
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
    VolumeState,
)

T = TypeVar("T")
DISK = "disk"  # In place of a volume's name: any of the disks.
# What another volume of this node may do better.
_ELSEWHERE = ("NOT_FOUND", "DAMAGE", "VOLUME_FAILED", "VOLUME_READ_ONLY", "NO_ROOM")


class Volumes:
    def __init__(self, disks: Sequence[Store], buckets: Sequence[LateStore] = ()) -> None:
        assert disks, "a node has at least one disk"
        assert len({store.volume for store in disks}) == len(disks)
        self._stores: tuple[Store, ...] = (*disks, *buckets)
        self.buckets = tuple(buckets)
        self.disks = Volumes(disks) if buckets else self

    @property
    def stores(self) -> tuple[Store, ...]:
        return self._stores

    def healths(self) -> Mapping[str, Health]:
        """By the volume's uuid."""
        return {store.volume: store.health() for store in self._stores}

    def health(self) -> Health:
        """All disks: as good as the best; only what is free on healthy ones counts as free."""
        return _sum(self.disks.healths())

    def named(self, volume: str) -> "Store | Volumes":
        """That volume, all disks (`DISK`), or all there is (""). NOT_FOUND when it is not here."""
        if volume in ("", DISK):
            return self.disks if volume else self
        for store in self._stores:
            if store.volume == volume:
                return store
        said = f"volume {volume} is not of this node"
        raise McError("NOT_FOUND", said, next="another node may serve it by now")

    def on_damage(self, callback: Damaged) -> None:
        for store in self._stores:
            store.on_damage(callback)

    async def put(self, file_bytes_max: int, chunk_id: bytes = b"") -> Put:
        """On the healthy disk with most room; on the next one when it refuses after all."""
        if self.disks is not self:
            return await self.disks.put(file_bytes_max, chunk_id)
        healths = self.healths()

        def rank(store: Store) -> tuple[bool, int]:
            health = healths[store.volume]
            return health.state is not VolumeState.HEALTHY, -health.bytes_free

        refused: McError | None = None
        for store in sorted(self._stores, key=rank):
            try:
                return _Put(self, store, await store.put(file_bytes_max, chunk_id))
            except McError as error:
                said = _passed_over(error)
                refused = said if refused is None or said.reason == "NO_ROOM" else refused
        assert refused is not None
        raise refused

    async def read(self, chunk_id: bytes) -> Reading:
        return await self._first(chunk_id, lambda store: store.read(chunk_id))

    async def find(self, chunk_ids: Sequence[bytes]) -> list[Held]:
        """Each copy, also where two volumes have one."""
        return [held for store in self._stores for held in await store.find(chunk_ids)]

    async def have(
        self, chunk_ids: Sequence[bytes], pin: Pin, fresh_s: float = FRESH_S
    ) -> list[Held]:
        """One copy of each; a volume that cannot promise is passed over."""
        found: dict[bytes, Held] = {}
        for store in self._stores:
            rest = [chunk_id for chunk_id in chunk_ids if chunk_id not in found]
            try:
                here = await store.have(rest, pin, fresh_s) if rest else []
            except McError as error:
                _passed_over(error)
                continue
            found.update((held.chunk_id, held) for held in here)
        return [found[chunk_id] for chunk_id in dict.fromkeys(chunk_ids) if chunk_id in found]

    async def verify(self, chunk_id: bytes, nonce: bytes = b"") -> Verified:
        return await self._first(chunk_id, lambda store: store.verify(chunk_id, nonce))

    async def unpin(self, holder: str) -> int:
        """On every volume that can be written; the first refusal is told after all were asked."""
        results = await self._each(lambda store: store.unpin(holder))
        return sum(results)

    async def pins(self, chunk_id: bytes) -> Sequence[Pin]:
        return [pin for store in self._stores for pin in await store.pins(chunk_id)]

    async def trash(self, chunk_id: bytes, why: str) -> bool:
        """Every copy; False when a pin keeps one."""
        if await self.pins(chunk_id):
            return False
        return all(await self._holders(chunk_id, lambda store: store.trash(chunk_id, why)))

    async def revive(self, chunk_id: bytes) -> Held:
        return await self._first(chunk_id, lambda store: store.revive(chunk_id))

    async def purge(self, chunk_id: bytes) -> int:
        return sum(await self._each(lambda store: store.purge(chunk_id)))

    async def stalest(self, count: int) -> Sequence[Held]:
        found = [held for store in self._stores for held in await store.stalest(count)]
        return sorted(found, key=lambda held: (held.verified_unix_s, held.chunk_id))[:count]

    async def trashed(self) -> Sequence[Trashed]:
        return [one for store in self._stores for one in await store.trashed()]

    async def evidence(self) -> Sequence[Evidence]:
        return [one for store in self._stores for one in await store.evidence()]

    async def discard(self, name: str) -> None:
        await self._holders(b"", lambda store: store.discard(name))

    async def run(self) -> None:
        """What buckets need beside what they are asked, until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for bucket in self.buckets:
                group.create_task(bucket.run())

    async def close(self) -> None:
        for store in self._stores:
            await store.close()

    async def _first(self, chunk_id: bytes, call: Callable[[Store], Awaitable[T]]) -> T:
        """The first volume that serves it; else the worst that one of them had to say."""
        here = {held.volume for held in await self.find([chunk_id])}
        worst: McError | None = None
        for store in sorted(self._stores, key=lambda store: store.volume not in here):
            try:
                return await call(store)
            except McError as error:
                said = _passed_over(error)
                worst = said if worst is None or worst.reason == "NOT_FOUND" else worst
        assert worst is not None
        raise worst

    async def _holders(self, chunk_id: bytes, call: Callable[[Store], Awaitable[T]]) -> list[T]:
        """What those that have it answer; NOT_FOUND when nobody has."""
        answers: list[T] = []
        missing: McError | None = None
        for store in self._stores:
            try:
                answers.append(await call(store))
            except McError as error:
                if error.reason != "NOT_FOUND":
                    raise
                missing = error
        if not answers and missing is not None:
            raise missing
        return answers

    async def _each(self, call: Callable[[Store], Awaitable[int]]) -> list[int]:
        answers: list[int] = []
        refused: McError | None = None
        for store in self._stores:
            try:
                answers.append(await call(store))
            except McError as error:
                refused = refused or _passed_over(error)
        if refused is not None:
            raise refused
        return answers

    async def list(self, after: bytes = b"") -> AsyncIterator[Held]:
        """Each copy: two volumes may have one chunk."""
        streams = [store.list(after) for store in self._stores]
        heads: list[tuple[bytes, int, Held]] = []
        for index, stream in enumerate(streams):
            if (held := await anext(stream, None)) is not None:
                heads.append((held.chunk_id, index, held))
        heapify(heads)
        while heads:
            _, index, held = heappop(heads)
            yield held
            if (following := await anext(streams[index], None)) is not None:
                heappush(heads, (following.chunk_id, index, following))


class _Put:
    """A put that looks on the other volumes before its chunk is there twice."""

    def __init__(self, volumes: Volumes, store: Store, put: Put) -> None:
        self._volumes = volumes
        self._store = store
        self._put = put

    async def write(self, data: Bytes) -> None:
        await self._put.write(data)

    async def commit(self, envelope: Envelope, pin: Pin | None) -> Committed:
        if pin is not None:
            for store in self._volumes.stores:
                if store is self._store or not await store.find([envelope.chunk_id]):
                    continue
                try:
                    here = await store.have([envelope.chunk_id], pin)
                except McError as error:
                    _passed_over(error)
                    continue
                if here:
                    await self._put.abort()
                    return Committed(here[0], already=True)
        return await self._put.commit(envelope, pin)

    async def abort(self) -> None:
        await self._put.abort()


def _passed_over(error: McError) -> McError:
    """The error, when another volume may do better; else it is raised."""
    if error.reason not in _ELSEWHERE:
        raise error
    return error


def _sum(healths: Mapping[str, Health]) -> Health:
    order = (VolumeState.HEALTHY, VolumeState.FULL, VolumeState.READ_ONLY, VolumeState.FAILED)
    every = list(healths.values())
    healthy = [one for one in every if one.state is VolumeState.HEALTHY]
    checks = [one.oldest_check_unix_s for one in every if one.oldest_check_unix_s is not None]
    return Health(
        min((one.state for one in every), key=order.index),
        "; ".join(f"{volume}: {one.why}" for volume, one in healths.items() if one.why),
        sum(one.chunks for one in every),
        sum(one.bytes_used for one in every),
        sum(one.bytes_trash for one in every),
        sum(one.bytes_free for one in healthy),
        sum(one.bytes_total for one in every),
        sum(one.quarantined for one in every),
        min(checks, default=None),
    )
